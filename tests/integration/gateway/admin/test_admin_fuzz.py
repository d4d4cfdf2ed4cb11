"""Schemathesis against the admin API of a real process: every answer is one that the document declares, and none is a 500."""

from collections.abc import Iterator

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from sluice.testing import ServiceProcess, admin_headers, environment_of, free_port, platform_settings

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture(scope="module")
def base(valkey: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder, port = tmp_path_factory.mktemp("gateway"), free_port()
    url = f"http://127.0.0.1:{port}"
    platform = platform_settings(folder, redis_url=valkey, router_url="http://127.0.0.1:9")
    environment = {**environment_of(platform), "SLUICE_GATEWAY_PORT": str(port)}
    with ServiceProcess("sluice_gateway", ["serve"], environment, folder / "log", cwd=folder) as process:
        process.wait_ready(f"{url}/healthz")
        yield url


@pytest.fixture(scope="module")
def admin_key(base: str) -> str:
    made = httpx.post(f"{base}/admin/keys", json={"name": "k", "role": "admin"}, headers=admin_headers())
    assert made.status_code == 201
    return str(made.json()["key"])


@pytest.mark.parametrize("who", ["administrator", "admin key"])
def test_every_admin_operation_answers_as_declared(base: str, admin_key: str, who: str) -> None:
    headers = admin_headers() if who == "administrator" else {"authorization": f"Bearer {admin_key}"}
    schema = schemathesis.openapi.from_url(f"{base}/openapi.json").include(path_regex="^/admin/")
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) >= 20
    for operation in operations:

        @given(case=operation.as_strategy())
        @settings(
            max_examples=20,
            deadline=None,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def holds(case: schemathesis.Case) -> None:
            case.call_and_validate(headers=headers, checks=CHECKS)

        holds()
