"""`sluice cache`: what kept answers save, and forgetting them."""

from typing import Annotated

import typer

from sluice_cli.client import Gateway
from sluice_cli.output import say, show_json, show_table
from sluice_cli.platform.errors import CommandFailed
from sluice_cli.settings import CliSettings

app = typer.Typer(help="Kept answers.", no_args_is_help=True)


@app.command()
def stats(as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False) -> None:
    """Show what the gateway process that answers keeps in memory, and how often it answered from the cache."""
    found = Gateway.from_settings(CliSettings()).admin("GET", "/admin/cache")
    if as_json:
        show_json(found)
        return
    rate = found["hit_rate"]
    rows = [
        ("answers in memory", found["entries"]),
        ("bytes in memory", found["bytes"]),
        *((f"requests: {outcome}", count) for outcome, count in found["requests"].items()),
        ("hit rate", "-" if rate is None else f"{rate:.1%}"),
        ("saved, US dollars", found["saved_usd"]),
    ]
    show_table(("what", "value"), rows)


@app.command()
def purge(
    tenant: Annotated[str | None, typer.Option(help="answers of this tenant")] = None,
    model: Annotated[str | None, typer.Option(help="answers of this model")] = None,
    key_id: Annotated[str | None, typer.Option("--key", help="answers that the API key with this id asked for")] = None,
    everything: Annotated[bool, typer.Option("--all", help="all answers")] = False,
) -> None:
    """Forget kept answers, in all gateways and all levels: those of one tenant, model or key, or all."""
    named: dict[str, object] = {
        name: value for name, value in (("tenant", tenant), ("model", model), ("key_id", key_id)) if value
    }
    if len(named) + everything != 1:
        raise CommandFailed("Say what to forget: exactly one of --tenant, --model, --key and --all.")
    body = named or {"all": True}
    done = Gateway.from_settings(CliSettings()).admin("POST", "/admin/cache/invalidations", json=body)
    say(f"Forgotten: {done['scope']}")
