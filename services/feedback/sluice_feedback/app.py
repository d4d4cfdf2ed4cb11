"""The feedback service's application."""

from fastapi import FastAPI

from sluice.service import OpenDeps, create_service
from sluice_feedback.routes import router


def create_app(open_deps: OpenDeps) -> FastAPI:
    """Return the application; `open_deps` is entered at start."""
    return create_service(
        "feedback",
        open_deps,
        [router],
        title="Sluice feedback",
        description="Takes what people say about answers, tells other services of it, and opens reviews of bad answers.",
    )
