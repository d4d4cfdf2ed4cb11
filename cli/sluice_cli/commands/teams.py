"""`sluice teams`: teams of an organisation, with models and limits of their own."""

from typing import Annotated, Any

import typer

from sluice_cli.client import Gateway, every, path_of
from sluice_cli.commands import limits
from sluice_cli.commands.owners import organization_id, team_id
from sluice_cli.output import say, show_json, show_table
from sluice_cli.platform.errors import CommandFailed
from sluice_cli.settings import CliSettings

app = typer.Typer(help="Teams of an organisation: keys with models and limits of their own.", no_args_is_help=True)
Called = Annotated[str, typer.Argument(help="the team's id or name")]
Org = Annotated[str | None, typer.Option(help="its organisation's id, name or tenant")]
_COLUMNS = ("id", "name", "organization_id", "disabled", "models", "limits")


@app.command("list")
def list_teams(org: Org = None, as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False) -> None:
    """List teams, newest first."""
    gateway = _gateway()
    query = {"organization_id": organization_id(gateway, org)} if org else {}
    found = list(every(gateway.admin, "/admin/teams", query))
    if as_json:
        show_json(found)
        return
    rows = [{**row, "models": ", ".join(row["models"] or ()) or "all", "limits": limits.one_line(row)} for row in found]
    show_table(_COLUMNS, [[row[column] for column in _COLUMNS] for row in rows])


@app.command()
def show(called: Called, org: Org = None) -> None:
    """Show one team as JSON."""
    gateway = _gateway()
    show_json(gateway.admin("GET", _path(gateway, called, org)))


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="a name that no other team of the organisation has")],
    org: Org = None,
    model: limits.Models = None,
    requests_per_minute: limits.PerMinute = None,
    tokens_per_minute: limits.TokensPerMinute = None,
    max_concurrent: limits.Concurrent = None,
    budget_per_day_usd: limits.PerDay = None,
    budget_per_month_usd: limits.PerMonth = None,
    default_model: limits.DefaultModel = None,
    policy: limits.Policy = None,
    sampling: limits.Sampling = None,
    tag: limits.Tags = None,
    metadata: limits.Metadata = None,
) -> None:
    """Make a team; with an organisation's admin key --org is that organisation."""
    gateway = _gateway()
    body: dict[str, Any] = {"name": name, **limits.models(model)}
    body |= {"organization_id": organization_id(gateway, org)} if org else {}
    body |= limits.metadata(metadata) | limits.tags(tag) | limits.drawing(default_model, sampling)
    body |= limits.policy(policy)
    body |= limits.limits(
        requests_per_minute, tokens_per_minute, max_concurrent, budget_per_day_usd, budget_per_month_usd
    )
    say(gateway.admin("POST", "/admin/teams", json=body)["id"])


@app.command()
def change(
    called: Called,
    org: Org = None,
    name: Annotated[str | None, typer.Option(help="another name")] = None,
    model: limits.Models = None,
    all_models: limits.AllModels = False,
    requests_per_minute: limits.PerMinute = None,
    tokens_per_minute: limits.TokensPerMinute = None,
    max_concurrent: limits.Concurrent = None,
    budget_per_day_usd: limits.PerDay = None,
    budget_per_month_usd: limits.PerMonth = None,
    default_model: limits.DefaultModel = None,
    policy: limits.Policy = None,
    sampling: limits.Sampling = None,
    tag: limits.Tags = None,
    metadata: limits.Metadata = None,
    no_limit: limits.NoLimit = None,
) -> None:
    """Change what is given; every gateway follows within a second."""
    body = limits.models(model, every=all_models)
    body |= {"name": name} if name else {}
    body |= limits.metadata(metadata) | limits.tags(tag) | limits.drawing(default_model, sampling)
    body |= limits.policy(policy)
    body |= limits.limits(
        requests_per_minute, tokens_per_minute, max_concurrent, budget_per_day_usd, budget_per_month_usd, no_limit
    )
    if not body:
        raise CommandFailed("Say what to change; `sluice teams change --help` lists it.")
    gateway = _gateway()
    show_json(gateway.admin("PATCH", _path(gateway, called, org), json=body))


@app.command()
def disable(called: Called, org: Org = None) -> None:
    """Stop all keys of a team; every gateway refuses them within a second."""
    gateway = _gateway()
    gateway.admin("PATCH", _path(gateway, called, org), json={"disabled": True})
    say(f"{called} is disabled.")


@app.command()
def enable(called: Called, org: Org = None) -> None:
    """Let the keys of a disabled team work again."""
    gateway = _gateway()
    gateway.admin("PATCH", _path(gateway, called, org), json={"disabled": False})
    say(f"{called} is enabled.")


@app.command()
def delete(
    called: Called,
    org: Org = None,
    cascade: Annotated[bool, typer.Option("--cascade", help="revoke its keys as well")] = False,
) -> None:
    """Delete a team for good; its usage stays."""
    gateway = _gateway()
    gone = gateway.admin("DELETE", _path(gateway, called, org), params={"cascade": cascade})
    say(f"{called} is deleted; {gone['keys_revoked']} keys are revoked.")


def _gateway() -> Gateway:
    return Gateway.from_settings(CliSettings())


def _path(gateway: Gateway, called: str, org: str | None) -> str:
    return path_of("/admin/teams", team_id(gateway, called, org))
