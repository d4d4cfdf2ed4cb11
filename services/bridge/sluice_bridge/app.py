"""The application of the bridge."""

from fastapi import FastAPI

from sluice.service import OpenDeps, create_service
from sluice_bridge.routes import router


def create_app(open_deps: OpenDeps) -> FastAPI:
    """Return the application; `open_deps` opens what it needs."""
    return create_service(
        "bridge",
        open_deps,
        [router],
        title="Sluice bridge",
        description="Asks providers that do not speak OpenAI's API, each through its own SDK, and answers as OpenAI would.",
    )
