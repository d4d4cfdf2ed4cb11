"""The guardrail's application."""

from fastapi import FastAPI

from sluice.service import OpenDeps, create_service
from sluice_guardrail.routes import router


def create_app(open_deps: OpenDeps) -> FastAPI:
    """Return the application; `open_deps` is entered at start."""
    return create_service(
        "guardrail",
        open_deps,
        [router],
        title="Sluice guardrail",
        description="Says what may go into a model and what may come out: personal data, secrets, prompt injection, leaks.",
    )
