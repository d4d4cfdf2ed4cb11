"""Schemathesis against the admin API of a real process, and against what else the control plane answers."""

from collections.abc import Iterator

import httpx
import pytest
import redis
from tests.integration.databases import fresh_database
from tests.integration.fuzzing import assert_answers_as_declared
from tests.integration.gateway.limits.fleet import models

from sluice.contracts.routing import SNAPSHOT_KEY
from sluice.testing import ServiceProcess, admin_headers, environment_of, free_port, platform_settings

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def base(request: pytest.FixtureRequest, valkey: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    database = fresh_database(request.getfixturevalue("postgres")) if request.param == "postgres" else ""
    folder, port = tmp_path_factory.mktemp("gateway"), free_port()
    url = f"http://127.0.0.1:{port}"
    platform = platform_settings(folder, redis_url=valkey, database_url=database, router_url="http://127.0.0.1:9")
    environment = {**environment_of(platform), "SLUICE_GATEWAY_PORT": str(port)}
    with redis.Redis.from_url(
        valkey
    ) as direct:  # what the router would publish: without it the list of prices is a 503
        direct.set(SNAPSHOT_KEY, models("http://127.0.0.1:9").model_dump_json())
    with ServiceProcess("sluice_gateway", ["serve"], environment, folder / "log", cwd=folder) as process:
        process.wait_ready(f"{url}/readyz")
        yield url
    with redis.Redis.from_url(valkey) as direct:
        direct.delete(SNAPSHOT_KEY)


@pytest.fixture(scope="module")
def admin_key(base: str) -> str:
    made = httpx.post(f"{base}/admin/keys", json={"name": "k", "role": "admin"}, headers=admin_headers(), timeout=60)
    assert made.status_code == 201
    return str(made.json()["key"])


@pytest.mark.parametrize("who", ["administrator", "admin key"])
def test_every_admin_operation_answers_as_declared(base: str, admin_key: str, who: str) -> None:
    headers = admin_headers() if who == "administrator" else {"authorization": f"Bearer {admin_key}"}
    assert_answers_as_declared(base, lambda path: path.startswith("/admin/"), headers, least=20, examples=8)


PUBLIC = ("/v1/prompts", "/v1/usage", "/v1/key")


def test_what_the_control_plane_answers_to_keys_is_as_declared(base: str, admin_key: str) -> None:
    headers = {"authorization": f"Bearer {admin_key}"}
    made = httpx.post(
        f"{base}/v1/prompts", json={"name": "p", "sections": {"task": "{{x}}"}}, headers=headers, timeout=60
    )
    assert made.status_code == 201, made.text
    assert_answers_as_declared(base, lambda path: path.startswith(PUBLIC), headers, least=15, examples=3)
