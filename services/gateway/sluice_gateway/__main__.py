"""Runs the gateway: `python -m sluice_gateway serve`, and its usage consumer: `python -m sluice_gateway worker`."""

from sluice.main import Entry, run
from sluice_gateway.app import create_app, in_front
from sluice_gateway.dataplane.wire import GatewayProtocol
from sluice_gateway.settings import Settings
from sluice_gateway.tasks import work
from sluice_gateway.wiring import MIGRATIONS, check_config, open_deps

if __name__ == "__main__":
    run(
        Entry(
            name="gateway",
            settings=Settings,
            create_app=create_app,
            open_deps=open_deps,
            migrations=MIGRATIONS,
            worker=work,
            check=check_config,
            wrap=lambda app, _platform, settings: in_front(app, settings),
            server_options=(("http", GatewayProtocol), ("proxy_headers", False)),
            revived=True,
        )
    )
