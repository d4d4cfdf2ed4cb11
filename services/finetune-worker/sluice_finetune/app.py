"""The finetune-worker's application."""

from fastapi import FastAPI

from sluice.service import OpenDeps, create_service
from sluice_finetune.routes import files, jobs


def create_app(open_deps: OpenDeps) -> FastAPI:
    """Return the application; `open_deps` is entered at start."""
    return create_service(
        "finetune",
        open_deps,
        [files.router, jobs.router],
        title="Sluice finetune-worker",
        description="Training files and fine-tuning jobs in OpenAI's shapes, with checks of the data before a training.",
    )
