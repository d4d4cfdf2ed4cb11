"""Where the platform of this machine listens."""

from sluice_cli.platform import records
from sluice_cli.platform.home import Home
from sluice_cli.platform.parts import Layout
from sluice_cli.settings import CliSettings


def layout_of(settings: CliSettings) -> Layout:
    """Return the layout that SLUICE_PORT_BASE names; without one that of the running platform, else the default."""
    gateway = records.read(Home(settings.home).run).get("gateway")
    if "port_base" not in settings.model_fields_set and gateway is not None:
        return Layout(gateway.port)
    return Layout(settings.port_base)
