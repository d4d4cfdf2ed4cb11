"""Runs the feedback service: `python -m sluice_feedback serve`."""

from sluice.main import Entry, run
from sluice_feedback.app import create_app
from sluice_feedback.settings import Settings
from sluice_feedback.wiring import MIGRATIONS, open_deps

if __name__ == "__main__":
    run(
        Entry(
            name="feedback",
            settings=Settings,
            create_app=create_app,
            open_deps=open_deps,
            migrations=MIGRATIONS,
        )
    )
