"""`sluice keys`: make, list and revoke API keys."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from sluice_cli.client import Gateway, every
from sluice_cli.output import say, show_json, show_table
from sluice_cli.settings import CliSettings

app = typer.Typer(help="API keys of the gateway (administrator).", no_args_is_help=True)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="what the key is for")],
    tenant: Annotated[str, typer.Option(help="who the key's data and usage belong to")] = "default",
    model: Annotated[
        list[str] | None, typer.Option(help="a model that the key may use; repeat for several; none means all")
    ] = None,
    days: Annotated[int | None, typer.Option(min=1, help="days until it expires")] = None,
) -> None:
    """Make a key; it is shown this once."""
    body: dict[str, object] = {"name": name, "tenant": tenant}
    if model:
        body["models"] = model
    if days:
        body["expires_at"] = int((datetime.now(UTC) + timedelta(days=days)).timestamp())
    made = Gateway.from_settings(CliSettings()).admin("POST", "/admin/keys", json=body)
    say(f"{made['key']}\n(id {made['id']}; the key is not shown again)")


@app.command("list")
def list_keys(as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False) -> None:
    """List keys, newest first."""
    found = list(every(Gateway.from_settings(CliSettings()).admin, "/admin/keys"))
    if as_json:
        show_json(found)
        return
    columns = ("id", "name", "tenant", "prefix", "status", "models")
    rows = [{**row, "models": ", ".join(row["models"] or ()) or "all"} for row in found]
    show_table(columns, [[row[column] for column in columns] for row in rows])


@app.command()
def revoke(key_id: Annotated[str, typer.Argument(help="the key's id")]) -> None:
    """Revoke a key; every gateway refuses it within a second."""
    Gateway.from_settings(CliSettings()).admin("DELETE", f"/admin/keys/{key_id}")
    say(f"{key_id} is revoked.")
