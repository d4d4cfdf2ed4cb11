"""`python -m sluice_bridge serve|check-config|openapi`, in the bridge's own environment (`make bridge`)."""

from sluice.main import Entry, run
from sluice_bridge.app import create_app
from sluice_bridge.settings import BridgePlatform, Settings
from sluice_bridge.wiring import load_providers, open_deps

if __name__ == "__main__":
    run(
        Entry(
            name="bridge",
            settings=Settings,
            platform=BridgePlatform,
            create_app=create_app,
            open_deps=open_deps,
            check=lambda platform, settings: (load_providers(platform, settings), None)[1],
            revived=True,
        )
    )
