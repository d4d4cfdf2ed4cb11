"""What `sluice budgets` and `sluice quotas` have in common: lists of what is used of something that has a limit."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from sluice_cli.client import Gateway
from sluice_cli.commands.owners import organization_id
from sluice_cli.output import show_json, show_table
from sluice_cli.settings import CliSettings

Org = Annotated[str | None, typer.Option(help="of this organisation: its id, name or tenant")]
MinShare = Annotated[float, typer.Option(min=0, help="only those of which at least this share is used")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON")]


def show_shares(path: str, columns: Sequence[str], org: str | None, min_share: float, *, as_json: bool) -> None:
    """Print what the gateway lists under a path, each with the share of its limit that is used."""
    gateway = Gateway.from_settings(CliSettings())
    query: dict[str, Any] = {"limit": 1000, "min_share": min_share}
    if org is not None:
        query["organization_id"] = organization_id(gateway, org)
    found = gateway.admin("GET", path, params=query)["data"]
    if as_json:
        show_json(found)
        return
    show_table(
        columns, [[f"{row['share']:.1%}" if name == "share" else row[name] for name in columns] for row in found]
    )
