"""`sluice usage`: requests with their tokens and cost."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from sluice_cli.client import Gateway
from sluice_cli.output import progress, say, show_json, show_table
from sluice_cli.settings import CliSettings

app = typer.Typer(help="Requests with their tokens and cost.")
Group = Literal["model", "key", "day", "tenant", "organization", "team", "end_user", "deployment", "endpoint", "status"]
_SUMS = ("requests", "errors", "prompt_tokens", "completion_tokens", "cost_usd")
_COLUMNS = (
    "request_id",
    "model",
    "status",
    "prompt_tokens",
    "completion_tokens",
    "cost_usd",
    "duration_ms",
    "trace_id",
)


@app.callback(invoke_without_command=True)
def usage(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=100, help="how many requests")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Show the last requests of the key's tenant with their tokens and cost."""
    if context.invoked_subcommand is not None:
        return
    page = Gateway.from_settings(CliSettings()).user("GET", "/v1/usage", params={"limit": limit})
    if as_json:
        show_json(page)
        return
    show_table(_COLUMNS, [[row.get(column) for column in _COLUMNS] for row in page["data"]])


@app.command()
def show(request_id: Annotated[str, typer.Argument(help="a request's x-request-id")]) -> None:
    """Show one request of the key's tenant as JSON."""
    show_json(Gateway.from_settings(CliSettings()).user("GET", f"/v1/usage/{request_id}"))


@app.command()
def summary(
    by: Annotated[Group, typer.Option(help="how the sums are split")] = "model",
    tenant: Annotated[str | None, typer.Option(help="of this tenant only")] = None,
    key: Annotated[str | None, typer.Option(help="of this key only, by its id")] = None,
    model: Annotated[str | None, typer.Option(help="of this model only")] = None,
    since: Annotated[float | None, typer.Option("--from", min=0, help="requests from then on, unix seconds")] = None,
    until: Annotated[float | None, typer.Option("--to", min=0, help="requests before then, unix seconds")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Sum up tokens and cost of all tenants, or of an admin key's own."""
    given = {"group_by": by, "tenant": tenant, "key_id": key, "model": model, "from": since, "to": until}
    query = {name: value for name, value in given.items() if value is not None}
    found = Gateway.from_settings(CliSettings()).admin("GET", "/admin/usage/summary", params=query)
    if as_json:
        show_json(found)
        return
    rows = [*found["data"], {"group": "all together", **found["totals"]}]
    show_table((by, *_SUMS), [[row["group"], *(row[name] for name in _SUMS)] for row in rows])


@app.command()
def rebuild() -> None:
    """Make the sums of hours and days again from the records, as after a restore; it tells how long it takes."""
    gateway = Gateway.from_settings(CliSettings())
    with progress("summing up all usage records") as told:
        sums = gateway.admin("POST", "/admin/usage/rebuild", timeout=None)["sums"]
    say(f"{sums} sums of hours and days were made in {told():.1f} s.")


@app.command()
def export(
    output: Annotated[Path, typer.Argument(help="the file to write; one that exists is kept")],
    kind: Annotated[Literal["csv", "jsonl"], typer.Option("--format", help="how records are written")] = "csv",
    since: Annotated[float | None, typer.Option("--from", min=0, help="requests from then on, unix seconds")] = None,
    until: Annotated[float | None, typer.Option("--to", min=0, help="requests before then, unix seconds")] = None,
    everybody: Annotated[bool, typer.Option("--all", help="of all tenants, as the administrator")] = False,
) -> None:
    """Write all records of the key's tenant into a file, oldest first."""
    given = {"format": kind, "from": since, "to": until}
    query = {name: value for name, value in given.items() if value is not None}
    size = Gateway.from_settings(CliSettings()).download(
        "/admin/usage/export" if everybody else "/v1/usage/export", output, query, as_administrator=everybody
    )
    typer.echo(f"{output}: {size} bytes")
