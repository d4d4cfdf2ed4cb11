"""`sluice keys`: make, list, change, rotate and revoke API keys."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import typer

from sluice_cli.client import Gateway, every, path_of
from sluice_cli.commands import limits
from sluice_cli.commands.owners import organization_id, team_id
from sluice_cli.output import say, show_json, show_table
from sluice_cli.platform.errors import CommandFailed
from sluice_cli.settings import CliSettings

app = typer.Typer(help="API keys of the gateway (administrator).", no_args_is_help=True)
Role = Literal["admin", "member", "read_only"]
KeyId = Annotated[str, typer.Argument(help="the key's id")]
Org = Annotated[str | None, typer.Option(help="its organisation's id, name or tenant")]
Team = Annotated[str | None, typer.Option(help="its team's id or name")]
UserType = Annotated[
    str | None,
    typer.Option(help="kind of user for whom it asks, one of SLUICE_GATEWAY_USER_TYPES; `none` takes it away"),
]
Days = Annotated[int | None, typer.Option(min=1, help="days until it expires")]
_COLUMNS = ("id", "name", "tenant", "role", "prefix", "status", "models", "limits")


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="what the key is for")],
    tenant: Annotated[
        str | None, typer.Option(help="who the key's data and usage belong to; without --org and --team `default`")
    ] = None,
    org: Org = None,
    team: Team = None,
    role: Annotated[
        Role, typer.Option(help="read_only lists models and usage; admin also administers its organisation")
    ] = "member",
    model: limits.Models = None,
    policy: limits.Policy = None,
    user_type: UserType = None,
    days: Days = None,
    requests_per_minute: limits.PerMinute = None,
    tokens_per_minute: limits.TokensPerMinute = None,
    max_concurrent: limits.Concurrent = None,
    budget_per_day_usd: limits.PerDay = None,
    budget_per_month_usd: limits.PerMonth = None,
    default_model: limits.DefaultModel = None,
    sampling: limits.Sampling = None,
    tag: limits.Tags = None,
    metadata: limits.Metadata = None,
    idempotency_key: Annotated[
        str | None, typer.Option(help="a unique text: repeated within 24 hours, it makes and shows the same key")
    ] = None,
) -> None:
    """Make a key; it is shown this once."""
    gateway = _gateway()
    body: dict[str, Any] = {"name": name, "role": role, **limits.models(model), **_expiry(days)}
    body |= {"tenant": tenant} if tenant else {}
    if team:
        body["team_id"] = team_id(gateway, team, org)
    elif org:
        body["organization_id"] = organization_id(gateway, org)
    body |= limits.policy(policy)
    body |= {"user_type": None if user_type == "none" else user_type} if user_type else {}
    body |= limits.metadata(metadata) | limits.tags(tag) | limits.drawing(default_model, sampling)
    body |= limits.limits(
        requests_per_minute, tokens_per_minute, max_concurrent, budget_per_day_usd, budget_per_month_usd
    )
    headers = {"idempotency-key": idempotency_key} if idempotency_key else {}
    _tell(gateway.admin("POST", "/admin/keys", json=body, headers=headers))


@app.command("list")
def list_keys(
    org: Org = None,
    team: Team = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """List keys, newest first."""
    gateway = _gateway()
    query = {"organization_id": organization_id(gateway, org)} if org else {}
    query |= {"team_id": team_id(gateway, team, org)} if team else {}
    found = list(every(gateway.admin, "/admin/keys", query))
    if as_json:
        show_json(found)
        return
    rows = [{**row, "models": ", ".join(row["models"] or ()) or "all", "limits": limits.one_line(row)} for row in found]
    show_table(_COLUMNS, [[row[column] for column in _COLUMNS] for row in rows])


@app.command()
def show(key_id: KeyId) -> None:
    """Show one key as JSON, without its secret."""
    show_json(_gateway().admin("GET", path_of("/admin/keys", key_id)))


@app.command()
def change(
    key_id: KeyId,
    name: Annotated[str | None, typer.Option(help="another name")] = None,
    role: Annotated[Role | None, typer.Option(help="another role")] = None,
    team: Annotated[str | None, typer.Option(help="another team of its organisation (id), or `none`")] = None,
    model: limits.Models = None,
    all_models: limits.AllModels = False,
    policy: limits.Policy = None,
    user_type: UserType = None,
    days: Days = None,
    requests_per_minute: limits.PerMinute = None,
    tokens_per_minute: limits.TokensPerMinute = None,
    max_concurrent: limits.Concurrent = None,
    budget_per_day_usd: limits.PerDay = None,
    budget_per_month_usd: limits.PerMonth = None,
    default_model: limits.DefaultModel = None,
    sampling: limits.Sampling = None,
    tag: limits.Tags = None,
    metadata: limits.Metadata = None,
    no_limit: limits.NoLimit = None,
) -> None:
    """Change what is given; every gateway follows within a second."""
    body = {**limits.models(model, every=all_models), **_expiry(days)}
    body |= {"name": name} if name else {}
    body |= {"role": role} if role else {}
    body |= {"team_id": None if team == "none" else team} if team else {}
    body |= limits.policy(policy)
    body |= {"user_type": None if user_type == "none" else user_type} if user_type else {}
    body |= limits.metadata(metadata) | limits.tags(tag) | limits.drawing(default_model, sampling)
    body |= limits.limits(
        requests_per_minute, tokens_per_minute, max_concurrent, budget_per_day_usd, budget_per_month_usd, no_limit
    )
    if not body:
        raise CommandFailed("Say what to change; `sluice keys change --help` lists it.")
    show_json(_gateway().admin("PATCH", path_of("/admin/keys", key_id), json=body))


@app.command()
def rotate(
    key_id: KeyId,
    grace: Annotated[int, typer.Option(min=0, help="seconds for which the old secret works on, at most 30 days")] = 0,
) -> None:
    """Give a key a new secret, shown this once; the old one ends at once or after --grace seconds."""
    _tell(_gateway().admin("POST", path_of("/admin/keys", key_id, "rotate"), json={"grace_s": grace}))


@app.command()
def disable(key_id: KeyId) -> None:
    """Stop a key until it is enabled; every gateway refuses it within a second."""
    _gateway().admin("PATCH", path_of("/admin/keys", key_id), json={"disabled": True})
    say(f"{key_id} is disabled.")


@app.command()
def enable(key_id: KeyId) -> None:
    """Let a disabled key work again."""
    _gateway().admin("PATCH", path_of("/admin/keys", key_id), json={"disabled": False})
    say(f"{key_id} is enabled.")


@app.command()
def revoke(key_id: KeyId) -> None:
    """Revoke a key for good; every gateway refuses it within a second."""
    _gateway().admin("DELETE", path_of("/admin/keys", key_id))
    say(f"{key_id} is revoked.")


def _gateway() -> Gateway:
    return Gateway.from_settings(CliSettings())


def _expiry(days: int | None) -> dict[str, int]:
    return {"expires_at": int((datetime.now(UTC) + timedelta(days=days)).timestamp())} if days else {}


def _tell(made: dict[str, Any]) -> None:
    say(f"{made['key']}\n(id {made['id']}; the key is not shown again)")
