"""`sluice audit`: who changed what."""

import json
from datetime import UTC, datetime
from itertools import islice
from typing import Annotated, Any, Literal

import typer

from sluice_cli.client import Gateway, every, path_of
from sluice_cli.commands.owners import organization_id
from sluice_cli.output import show_json, show_table
from sluice_cli.settings import CliSettings

app = typer.Typer(help="The audit log of organisations, teams and keys.", no_args_is_help=True)
_COLUMNS = ("at", "actor", "action", "target", "change")


@app.command("list")
def list_audit(
    org: Annotated[str | None, typer.Option(help="changes of this organisation (id, name or tenant)")] = None,
    target: Annotated[str | None, typer.Option(help="changes of the organisation, team or key with this id")] = None,
    actor: Annotated[str | None, typer.Option(help="changes by `admin`, or by the admin key with this id")] = None,
    action: Annotated[
        Literal["create", "change", "rotate", "revoke", "delete"] | None, typer.Option(help="what was done")
    ] = None,
    days: Annotated[float | None, typer.Option(min=0, help="changes of the last days only")] = None,
    count: Annotated[int, typer.Option("--limit", min=1, help="how many at most")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """List changes, newest first."""
    gateway = Gateway.from_settings(CliSettings())
    since = None if days is None else datetime.now(UTC).timestamp() - days * 86_400
    query = {
        "organization_id": organization_id(gateway, org) if org else None,
        "target_id": target,
        "actor_id": actor,
        "action": action,
        "from": since,
    }
    given = {name: value for name, value in query.items() if value is not None}
    found = list(islice(every(gateway.admin, "/admin/audit", given), count))
    if as_json:
        show_json(found)
        return
    show_table(_COLUMNS, [_line(record) for record in found], folded="change")


@app.command()
def show(record_id: Annotated[str, typer.Argument(help="the record's id")]) -> None:
    """Show one record as JSON, with the fields before and after."""
    show_json(Gateway.from_settings(CliSettings()).admin("GET", path_of("/admin/audit", record_id)))


def _line(record: dict[str, Any]) -> tuple[str, ...]:
    at = datetime.fromtimestamp(record["at"], UTC).isoformat(sep=" ", timespec="seconds")
    content = record["after"] if record["after"] is not None else record["before"]
    return (
        at,
        record["actor_id"],
        record["action"],
        record["target_id"],
        json.dumps(content, ensure_ascii=False)
        if record["action"] != "create"
        else str(content.get("name") or content["model"]),
    )
