"""`python -m sluice_finetune serve | worker | migrate | check-config | openapi`."""

from pathlib import Path

from sluice.main import Entry, run
from sluice_finetune.app import create_app
from sluice_finetune.settings import Settings
from sluice_finetune.tasks import work
from sluice_finetune.wiring import open_deps

MIGRATIONS = Path(__file__).parent.parent / "migrations"

if __name__ == "__main__":
    run(
        Entry(
            name="finetune",
            settings=Settings,
            create_app=create_app,
            open_deps=open_deps,
            migrations=MIGRATIONS,
            worker=work,
        )
    )
