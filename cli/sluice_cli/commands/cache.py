"""`sluice cache`: what the gateway keeps of answers, and forgetting it."""

from typing import Annotated, Any

import typer

from sluice_cli.client import Gateway, path_of
from sluice_cli.output import say, show_json, show_table
from sluice_cli.platform.errors import CommandFailed
from sluice_cli.settings import CliSettings

app = typer.Typer(help="Answers that the gateway keeps and gives again.", no_args_is_help=True)


@app.command()
def show() -> None:
    """Show what one gateway process holds, and how often it answered from it, as JSON; the metrics have all processes."""
    show_json(Gateway.from_settings(CliSettings()).admin("GET", "/admin/cache"))


@app.command()
def thresholds(
    forget: Annotated[str | None, typer.Option(help="begin anew for this model or route")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Show how near questions in other words have to be, where a policy lets that tune itself, and what was seen."""
    gateway = Gateway.from_settings(CliSettings())
    if forget is not None:
        gateway.admin("DELETE", path_of("/admin/cache/thresholds", forget, slashes=True))
        say(f"{forget} begins anew at its policy's threshold.")
        return
    found = gateway.admin("GET", "/admin/cache/thresholds")["data"]
    if as_json:
        show_json(found)
        return
    rows = [
        (
            *(one["name"], f"{one['threshold']:.3f}", f"{one['own']:.3f}", f"{one['least']:.3f} to {one['most']:.3f}"),
            *(one["samples"], one["agreed"], f"{one['wrong']} of {one['reaching']}", f"{one['max_error']:.1%}"),
        )
        for one in found
    ]
    show_table(
        ("model or route", "threshold", "of the policy", "between", "samples", "agree", "wrong", "at most"), rows
    )


@app.command()
def forget(
    tenant: Annotated[str | None, typer.Option(help="all answers of this tenant")] = None,
    model: Annotated[str | None, typer.Option(help="all answers of this model")] = None,
    key: Annotated[str | None, typer.Option(help="all answers that this key's requests made, by its id")] = None,
    everything: Annotated[bool, typer.Option("--all", help="all answers")] = False,
) -> None:
    """Let kept answers count no more, in all gateways within a second."""
    given: dict[str, Any] = {"tenant": tenant, "model": model, "key_id": key, "all": everything or None}
    body = {name: value for name, value in given.items() if value is not None}
    if len(body) != 1:
        raise CommandFailed("Say which: one of --tenant, --model, --key and --all.")
    gone = Gateway.from_settings(CliSettings()).admin("POST", "/admin/cache/invalidations", json=body)
    say(f"Answers kept so far ({gone['scope']}) count no more.")
