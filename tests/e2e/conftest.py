"""One platform, shared by all end-to-end tests: started as users start it, or the containers that are already up."""

import contextlib
import os
from collections.abc import Iterator

import pytest
from e2e_config import config_with_recorded_model
from e2e_platform import Platform, clean_environment, run_sluice, running_platform
from e2e_recorder import Recorder

from sluice.testing import free_port_base


@pytest.fixture(scope="session")
def platform(request: pytest.FixtureRequest) -> Iterator[Platform]:
    if not os.environ.get("SLUICE_E2E_BASE_URL"):
        yield request.getfixturevalue("local_platform")
        return
    with contextlib.closing(running_platform()) as running:
        yield running


@pytest.fixture(scope="session")
def local_platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """The platform that `sluice up` starts, also where the others of these tests ask containers."""
    folder = tmp_path_factory.mktemp("platform")
    base = free_port_base()
    with Recorder(f"http://127.0.0.1:{base + 10}") as recorder:
        config = config_with_recorded_model(folder / "config", recorder.url)
        environment = clean_environment() | {
            "SLUICE_HOME": str(folder / "home"),
            "SLUICE_PORT_BASE": str(base),
            "SLUICE_CONFIG_DIR": str(config),
        }
        try:
            run_sluice(environment, "up", timeout=180)
            secrets = dict(
                line.split("=", 1) for line in (folder / "home/secrets.env").read_text().splitlines() if "=" in line
            )
            started = Platform(
                base_url=f"http://127.0.0.1:{base}",
                api_key=secrets["SLUICE_API_KEY"],
                admin_key=secrets["SLUICE_ADMIN_KEY"],
                trace_dir=folder / "home/traces",
                environment=environment,
                recorder_url=recorder.url,
            )
            with contextlib.closing(started):
                yield started
        finally:
            run_sluice(environment, "down", timeout=120)


@pytest.fixture(scope="session")
def docs_store(platform: Platform) -> str:
    """A vector store that holds this repository's docs, ingested with the command that the README names."""
    done = platform.command(
        "ingest", "docs", "--exclude", "*.json", "--store", "e2e-docs", "--wait", "600", timeout=620
    )
    words = done.stdout.split()
    return next(word for word in words if word.startswith("vs_"))
