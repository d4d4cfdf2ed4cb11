"""Schemathesis against /v1/files and /v1/batches of a real process."""

from collections.abc import Iterator

import httpx
import pytest
from tests.integration.databases import fresh_database
from tests.integration.fuzzing import assert_answers_as_declared

from sluice.testing import ServiceProcess, admin_headers, environment_of, free_port, platform_settings

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def base(request: pytest.FixtureRequest, valkey: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    database = fresh_database(request.getfixturevalue("postgres")) if request.param == "postgres" else ""
    folder, port = tmp_path_factory.mktemp("gateway"), free_port()
    url = f"http://127.0.0.1:{port}"
    platform = platform_settings(folder, redis_url=valkey, database_url=database, router_url="http://127.0.0.1:9")
    environment = {**environment_of(platform), "SLUICE_GATEWAY_PORT": str(port)}
    with ServiceProcess("sluice_gateway", ["serve"], environment, folder / "log", cwd=folder) as process:
        process.wait_ready(f"{url}/healthz")
        yield url


def test_every_operation_answers_as_declared(base: str) -> None:
    made = httpx.post(f"{base}/admin/keys", json={"name": "k"}, headers=admin_headers(), timeout=60).json()
    headers = {"authorization": f"Bearer {made['key']}"}
    file = {"file": ("in.jsonl", b"{}")}
    httpx.post(
        f"{base}/v1/files", data={"purpose": "batch"}, files=file, headers=headers, timeout=60
    ).raise_for_status()
    ours = ("/v1/files", "/v1/batches")
    assert_answers_as_declared(base, lambda path: path.startswith(ours), headers, least=9, examples=12)
