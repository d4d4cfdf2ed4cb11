"""Schemathesis against the real process."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.integration.fuzzing import assert_answers_as_declared

from sluice.testing import ServiceProcess, admin_headers, environment_of, free_port, platform_settings

pytestmark = pytest.mark.integration
CONFIG = Path(__file__).parents[3] / "deploy" / "config"
OPEN = ("/healthz", "/readyz", "/metrics")
# they need the retrieval service, which is away here
TRAIN = tuple(f"/v1/classifiers/{kind}/train" for kind in ("intent", "domain", "difficulty"))


@pytest.fixture(scope="module")
def base(valkey: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder, port = tmp_path_factory.mktemp("router"), free_port()
    platform = platform_settings(folder, redis_url=valkey, config_dir=CONFIG)
    environment = environment_of(platform) | {"SLUICE_ROUTER_PORT": str(port)}
    with ServiceProcess("sluice_router", ["serve"], environment, folder / "log", cwd=folder) as process:
        process.wait_ready(f"http://127.0.0.1:{port}/readyz")
        yield f"http://127.0.0.1:{port}"


def test_every_operation_answers_as_declared(base: str) -> None:
    def mine(path: str) -> bool:
        return path not in (*OPEN, *TRAIN) and not path.startswith("/admin/")

    assert_answers_as_declared(base, mine, admin_headers(), least=7)


def test_the_registry_answers_as_declared(base: str) -> None:
    def is_admin(path: str) -> bool:
        return path.startswith("/admin/")

    assert_answers_as_declared(base, is_admin, admin_headers(), least=28, examples=4)


@pytest.mark.parametrize("path", TRAIN[:2])
def test_training_says_that_the_embedder_is_away(base: str, path: str) -> None:
    answer = httpx.post(base + path, headers=admin_headers(), timeout=60)
    assert (answer.status_code, answer.json()["code"]) == (503, "dependency_unavailable")
