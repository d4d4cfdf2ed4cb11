"""`python -m sluice_retrieval serve | worker | migrate | check-config | openapi`."""

from pathlib import Path

from sluice.main import Entry, run
from sluice_retrieval.app import create_app
from sluice_retrieval.settings import RetrievalSettings
from sluice_retrieval.tasks import work
from sluice_retrieval.wiring import check_config, open_deps

MIGRATIONS = Path(__file__).parent.parent / "migrations"

if __name__ == "__main__":
    run(
        Entry(
            name="retrieval",
            settings=RetrievalSettings,
            create_app=create_app,
            open_deps=open_deps,
            migrations=MIGRATIONS,
            worker=work,
            check=check_config,
        )
    )
