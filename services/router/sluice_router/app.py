"""The router's application."""

from fastapi import FastAPI

from sluice.service import OpenDeps, create_service
from sluice_router.routes import deployments, registry, routing


def create_app(open_deps: OpenDeps) -> FastAPI:
    """Return the application; `open_deps` is entered at start."""
    return create_service(
        "router",
        open_deps,
        [routing.router, deployments.router, registry.router],
        title="Sluice router",
        description="Knows models, deployments and routes, watches their health, and says which one answers a request, and why.",
    )
