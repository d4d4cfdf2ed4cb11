"""`sluice quotas`: how much organisations keep and have waiting, of what they may."""

from typing import Annotated, Any

import typer

from sluice_cli.client import Gateway
from sluice_cli.commands.owners import organization_id
from sluice_cli.output import show_json, show_table
from sluice_cli.settings import CliSettings

_COLUMNS = ("quota", "organization_id", "organization_name", "tenant", "used", "limit", "share")


def quotas(
    org: Annotated[str | None, typer.Option(help="of this organisation: its id, name or tenant")] = None,
    min_share: Annotated[float, typer.Option(min=0, help="only those of which at least this share is used")] = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """List the quotas of organisations (bytes of files, unfinished batches) with what they use, the most used-up first."""
    gateway = Gateway.from_settings(CliSettings())
    query: dict[str, Any] = {"limit": 1000, "min_share": min_share}
    if org is not None:
        query["organization_id"] = organization_id(gateway, org)
    found = gateway.admin("GET", "/admin/quotas", params=query)["data"]
    if as_json:
        show_json(found)
        return
    show_table(
        _COLUMNS, [[f"{row['share']:.1%}" if name == "share" else row[name] for name in _COLUMNS] for row in found]
    )
