"""`python -m sluice_eval serve | worker | migrate | check-config | openapi`."""

from pathlib import Path

from sluice.main import Entry, run
from sluice_eval.app import create_app
from sluice_eval.settings import Settings
from sluice_eval.tasks import work
from sluice_eval.wiring import open_deps

MIGRATIONS = Path(__file__).parent.parent / "migrations"

if __name__ == "__main__":
    run(
        Entry(
            name="eval",
            settings=Settings,
            create_app=create_app,
            open_deps=open_deps,
            migrations=MIGRATIONS,
            worker=work,
        )
    )
