"""Schemathesis against the real process: every answer is one that the OpenAPI document declares, and none is a 500."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from sluice.testing import ServiceProcess, admin_headers, environment_of, free_port, platform_settings, valkey_server

pytestmark = pytest.mark.integration
CONFIG = Path(__file__).parents[3] / "deploy" / "config"
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder, port = tmp_path_factory.mktemp("router"), free_port()
    with valkey_server() as url:
        environment = environment_of(platform_settings(folder, redis_url=url, config_dir=CONFIG)) | {
            "SLUICE_ROUTER_PORT": str(port)
        }
        with ServiceProcess("sluice_router", ["serve"], environment, folder / "log", cwd=folder) as process:
            process.wait_ready(f"http://127.0.0.1:{port}/readyz")
            yield f"http://127.0.0.1:{port}"


def test_every_operation_answers_as_declared(base: str) -> None:
    schema = schemathesis.openapi.from_url(f"{base}/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) >= 7
    for operation in operations:
        if operation.path in ("/healthz", "/readyz", "/metrics"):
            continue

        @given(case=operation.as_strategy())
        @settings(
            max_examples=40,
            deadline=None,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def holds(case: schemathesis.Case) -> None:
            case.call_and_validate(headers=admin_headers(), checks=CHECKS)

        holds()
