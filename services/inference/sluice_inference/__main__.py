"""`python -m sluice_inference serve|check-config|openapi`."""

from sluice.main import Entry, run
from sluice_inference.app import create_app
from sluice_inference.settings import Settings
from sluice_inference.wiring import load_engines, open_deps

if __name__ == "__main__":
    run(
        Entry(
            name="inference",
            settings=Settings,
            create_app=create_app,
            open_deps=open_deps,
            check=lambda platform, settings: (load_engines(platform, settings), None)[1],
        )
    )
