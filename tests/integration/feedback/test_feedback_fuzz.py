"""Schemathesis against the real process."""

from collections.abc import Iterator

import pytest
from tests.integration.fuzzing import assert_answers_as_declared

from sluice.testing import ServiceProcess, admin_headers, environment_of, free_port, platform_settings

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def base(valkey: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder, port = tmp_path_factory.mktemp("feedback"), free_port()
    environment = environment_of(platform_settings(folder, redis_url=valkey)) | {"SLUICE_FEEDBACK_PORT": str(port)}
    with ServiceProcess("sluice_feedback", ["serve"], environment, folder / "log", cwd=folder) as process:
        process.wait_ready(f"http://127.0.0.1:{port}/readyz")
        yield f"http://127.0.0.1:{port}"


def test_every_operation_answers_as_declared(base: str) -> None:
    assert_answers_as_declared(base, lambda path: "/v1/feedback" in path, admin_headers(), least=7, examples=15)
