"""Runs the router: `python -m sluice_router serve`."""

from sluice.main import Entry, run
from sluice_router.app import create_app
from sluice_router.settings import Settings
from sluice_router.wiring import MIGRATIONS, check_config, open_deps

if __name__ == "__main__":
    run(
        Entry(
            name="router",
            settings=Settings,
            create_app=create_app,
            open_deps=open_deps,
            migrations=MIGRATIONS,
            check=check_config,
        )
    )
