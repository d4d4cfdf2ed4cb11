"""The application of the inference service."""

from fastapi import FastAPI

from sluice.service import OpenDeps, create_service
from sluice_inference.routes import router


def create_app(open_deps: OpenDeps) -> FastAPI:
    """Return the application; `open_deps` opens what it needs."""
    return create_service(
        "inference",
        open_deps,
        [router],
        title="Sluice inference",
        description="Starts, watches and restarts the engines of this host, and says what they can take on.",
    )
