"""The application of the eval service."""

from fastapi import FastAPI

from sluice.service import OpenDeps, create_service
from sluice_eval.routes import audits, runs, suites


def create_app(open_deps: OpenDeps) -> FastAPI:
    """Return the application; `open_deps` opens what it needs."""
    return create_service(
        "eval",
        open_deps,
        [audits.router, suites.router, runs.router],
        title="Sluice eval",
        description="Suites of questions with expected answers, runs of them against a model, and reports.",
    )
