"""`sluice orgs`: organisations, which own teams, keys, data and usage."""

from typing import Annotated, Any

import typer

from sluice_cli.client import Gateway, every, path_of
from sluice_cli.commands import limits
from sluice_cli.commands.owners import organization_id
from sluice_cli.output import say, show_json, show_table
from sluice_cli.platform.errors import CommandFailed
from sluice_cli.settings import CliSettings

app = typer.Typer(help="Organisations: owners of teams, keys, data and usage.", no_args_is_help=True)
Called = Annotated[str, typer.Argument(help="the organisation's id, name or tenant")]
Regions = Annotated[
    list[str] | None,
    typer.Option("--region", help="a region that its requests may go to; repeat for several; none means anywhere"),
]
_COLUMNS = ("id", "name", "tenant", "disabled", "models", "regions", "limits")


@app.command("list")
def list_organizations(as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False) -> None:
    """List organisations, newest first."""
    found = list(every(_gateway().admin, "/admin/organizations"))
    if as_json:
        show_json(found)
        return
    rows = [
        {
            **row,
            "models": ", ".join(row["models"] or ()) or "all",
            "regions": ", ".join(row["allowed_regions"] or ()) or "anywhere",
            "limits": limits.one_line(row),
        }
        for row in found
    ]
    show_table(_COLUMNS, [[row[column] for column in _COLUMNS] for row in rows])


@app.command()
def show(called: Called) -> None:
    """Show one organisation as JSON."""
    gateway = _gateway()
    show_json(gateway.admin("GET", _path(gateway, called)))


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="a name that no other organisation has")],
    tenant: Annotated[
        str | None, typer.Option(help="the word under which its data is kept for good; by default the name")
    ] = None,
    model: limits.Models = None,
    region: Regions = None,
    requests_per_minute: limits.PerMinute = None,
    tokens_per_minute: limits.TokensPerMinute = None,
    max_concurrent: limits.Concurrent = None,
    budget_per_day_usd: limits.PerDay = None,
    budget_per_month_usd: limits.PerMonth = None,
    file_bytes: limits.FileBytes = None,
    unfinished_batches: limits.UnfinishedBatches = None,
    default_model: limits.DefaultModel = None,
    policy: limits.Policy = None,
    sampling: limits.Sampling = None,
    tag: limits.Tags = None,
    metadata: limits.Metadata = None,
) -> None:
    """Make an organisation."""
    body: dict[str, Any] = {"name": name, **limits.models(model)}
    body |= {"tenant": tenant} if tenant else {}
    body |= {"allowed_regions": region} if region else {}
    body |= limits.metadata(metadata) | limits.tags(tag) | limits.drawing(default_model, sampling)
    body |= limits.policy(policy)
    body |= limits.limits(
        *(requests_per_minute, tokens_per_minute, max_concurrent, budget_per_day_usd, budget_per_month_usd),
        kept=(file_bytes, unfinished_batches),
    )
    made = _gateway().admin("POST", "/admin/organizations", json=body)
    say(f"{made['id']} (tenant {made['tenant']})")


@app.command()
def change(
    called: Called,
    name: Annotated[str | None, typer.Option(help="another name; the tenant stays")] = None,
    model: limits.Models = None,
    all_models: limits.AllModels = False,
    region: Regions = None,
    anywhere: Annotated[bool, typer.Option("--anywhere", help="let requests go to every region again")] = False,
    requests_per_minute: limits.PerMinute = None,
    tokens_per_minute: limits.TokensPerMinute = None,
    max_concurrent: limits.Concurrent = None,
    budget_per_day_usd: limits.PerDay = None,
    budget_per_month_usd: limits.PerMonth = None,
    file_bytes: limits.FileBytes = None,
    unfinished_batches: limits.UnfinishedBatches = None,
    default_model: limits.DefaultModel = None,
    policy: limits.Policy = None,
    sampling: limits.Sampling = None,
    tag: limits.Tags = None,
    metadata: limits.Metadata = None,
    no_limit: limits.NoOrganizationLimit = None,
) -> None:
    """Change what is given; every gateway follows within a second."""
    body = limits.models(model, every=all_models)
    body |= {"name": name} if name else {}
    body |= {"allowed_regions": None if anywhere else region} if anywhere or region else {}
    body |= limits.metadata(metadata) | limits.tags(tag) | limits.drawing(default_model, sampling)
    body |= limits.policy(policy)
    body |= limits.limits(
        *(requests_per_minute, tokens_per_minute, max_concurrent, budget_per_day_usd, budget_per_month_usd),
        no_limit=no_limit,
        kept=(file_bytes, unfinished_batches),
    )
    if not body:
        raise CommandFailed("Say what to change; `sluice orgs change --help` lists it.")
    gateway = _gateway()
    show_json(gateway.admin("PATCH", _path(gateway, called), json=body))


@app.command()
def disable(called: Called) -> None:
    """Stop all keys of an organisation; every gateway refuses them within a second."""
    gateway = _gateway()
    gateway.admin("PATCH", _path(gateway, called), json={"disabled": True})
    say(f"{called} is disabled.")


@app.command()
def enable(called: Called) -> None:
    """Let the keys of a disabled organisation work again."""
    gateway = _gateway()
    gateway.admin("PATCH", _path(gateway, called), json={"disabled": False})
    say(f"{called} is enabled.")


@app.command()
def delete(
    called: Called,
    cascade: Annotated[bool, typer.Option("--cascade", help="delete its teams and revoke its keys as well")] = False,
) -> None:
    """Delete an organisation for good; its usage stays."""
    gateway = _gateway()
    gone = gateway.admin("DELETE", _path(gateway, called), params={"cascade": cascade})
    say(f"{called} is deleted, with {gone['teams_deleted']} teams; {gone['keys_revoked']} keys are revoked.")


def _gateway() -> Gateway:
    return Gateway.from_settings(CliSettings())


def _path(gateway: Gateway, called: str) -> str:
    return path_of("/admin/organizations", organization_id(gateway, called))
