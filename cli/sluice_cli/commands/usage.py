"""`sluice usage`: requests with their tokens and cost."""

from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from sluice.contracts.usage import TrendGroup, UsageGroup
from sluice_cli.client import Gateway, every, path_of
from sluice_cli.latencies import gaps_of, latencies
from sluice_cli.moments import moment
from sluice_cli.output import progress, say, show_json, show_table
from sluice_cli.settings import CliSettings

app = typer.Typer(help="Requests with their tokens and cost.")
UserType = Annotated[str | None, typer.Option(help="for this kind of user only")]
Tag = Annotated[str | None, typer.Option(help="with this tag only")]
_WHEN = "a day or time such as 2027-01-01 or 2027-01-01T08:00+01:00 (UTC without a zone), or unix seconds"
From = Annotated[str | None, typer.Option("--from", help=f"requests from then on: {_WHEN}")]
To = Annotated[str | None, typer.Option("--to", help=f"requests before then: {_WHEN}")]
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
    limit: Annotated[int, typer.Option(min=1, help="how many requests at most")] = 20,
    model: Annotated[str | None, typer.Option(help="of this model only")] = None,
    key: Annotated[str | None, typer.Option(help="of this key only, by its id")] = None,
    status: Annotated[str | None, typer.Option(help="that ended so only, such as error")] = None,
    end_user: Annotated[str | None, typer.Option(help="of this end user only")] = None,
    user_type: UserType = None,
    tag: Tag = None,
    since: From = None,
    until: To = None,
    everybody: Annotated[bool, typer.Option("--all", help="of all tenants, as the administrator")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Show the last requests of the key's tenant with their tokens and cost."""
    if context.invoked_subcommand is not None:
        return
    gateway = Gateway.from_settings(CliSettings())
    query = _given(model=model, key_id=key, status=status, end_user=end_user, user_type=user_type, tag=tag)
    query |= _period(since, until)
    call, path = (gateway.admin, "/admin/usage") if everybody else (gateway.user, "/v1/usage")
    rows = list(islice(every(call, path, {"limit": min(limit, 100), **query}), limit))
    if as_json:
        show_json({"object": "list", "data": rows})
        return
    show_table(_COLUMNS, [[row.get(column) for column in _COLUMNS] for row in rows])


@app.command()
def show(request_id: Annotated[str, typer.Argument(help="a request's x-request-id")]) -> None:
    """Show one request of the key's tenant as JSON."""
    show_json(Gateway.from_settings(CliSettings()).user("GET", path_of("/v1/usage", request_id)))


@app.command()
def summary(
    by: Annotated[UsageGroup, typer.Option(help="how the sums are split")] = "model",
    tenant: Annotated[str | None, typer.Option(help="of this tenant only")] = None,
    key: Annotated[str | None, typer.Option(help="of this key only, by its id")] = None,
    model: Annotated[str | None, typer.Option(help="of this model only")] = None,
    tag: Tag = None,
    since: From = None,
    until: To = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Sum up tokens and cost of all tenants, or of an admin key's own."""
    query = _given(group_by=by, tenant=tenant, key_id=key, model=model, tag=tag) | _period(since, until)
    found = Gateway.from_settings(CliSettings()).admin("GET", "/admin/usage/summary", params=query)
    if as_json:
        show_json(found)
        return
    rows = [*found["data"], {"group": "all together", **found["totals"]}]
    show_table((by, *_SUMS), [[row["group"], *(row[name] for name in _SUMS)] for row in rows])


@app.command()
def trend(
    interval: Annotated[Literal["day", "week", "month"], typer.Option(help="time of each row")] = "day",
    by: Annotated[TrendGroup | None, typer.Option(help="how the sums are split")] = None,
    groups: Annotated[int, typer.Option(min=1, max=50, help="how many groups at most, from the dearest down")] = 10,
    tenant: Annotated[str | None, typer.Option(help="of this tenant only")] = None,
    model: Annotated[str | None, typer.Option(help="of this model only")] = None,
    user_type: UserType = None,
    tag: Tag = None,
    since: From = None,
    until: To = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Show how usage, cost and the cost of a million tokens went, of all tenants or of an admin key's own."""
    query = _given(interval=interval, group_by=by, tenant=tenant, model=model, user_type=user_type, tag=tag)
    query |= {"groups": groups, **_period(since, until)}
    found = Gateway.from_settings(CliSettings()).admin("GET", "/admin/usage/trend", params=query)
    if as_json:
        show_json(found)
        return
    names = ("starts", *(("group",) if by else ()), "requests", "errors", "total_tokens", "cost_usd")
    rows = [
        [*(point[name] for name in names), _decimals(point["cost_per_million_tokens_usd"])] for point in found["data"]
    ]
    show_table((*names, "USD per million tokens"), rows)


def _decimals(value: float | None) -> str | None:
    return None if value is None else f"{value:.4f}"


@app.command()
def latency(
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="of so many of the last requests")] = 1000,
    model: Annotated[str | None, typer.Option(help="of this model only")] = None,
    key: Annotated[str | None, typer.Option(help="of this key only, by its id")] = None,
    tag: Tag = None,
    since: From = None,
    until: To = None,
    everybody: Annotated[bool, typer.Option("--all", help="of all tenants, as the administrator")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Show how fast answers came: TTFT, TPOT, whole requests, requests and tokens a second, by model.

    The gaps between words (ITL) are those that this gateway process has timed since it started, of all tenants together.
    """
    gateway = Gateway.from_settings(CliSettings())
    period = _period(since, until)
    query = _given(model=model, key_id=key, tag=tag) | period
    call, path = (gateway.admin, "/admin/usage") if everybody else (gateway.user, "/v1/usage")
    records = list(islice(every(call, path, {"limit": min(limit, 100), **query}), limit))
    whole = len(records) < limit and "from" in period and "to" in period
    rows = latencies(records, float(period["to"]) - float(period["from"]) if whole else None)
    timed = {one.model: one for one in gaps_of(gateway.metrics())}
    if as_json:
        itl = [{"gaps": one.gaps, "itl": one.itl} if (one := timed.get(row.model)) else {} for row in rows]
        show_json([{**row._asdict(), "gaps": 0, "itl": None, **more} for row, more in zip(rows, itl, strict=True)])
        return
    show_table(
        (
            "model",
            "requests",
            "TTFT ms p50/p95/p99",
            "TPOT ms",
            "ITL ms",
            "whole ms",
            "requests/s",
            "tokens/s",
            "of answers",
            "tokens a request",
        ),
        [
            (
                *(row.model, row.requests, _triple(row.ttft), _triple(row.tpot, ".1f")),
                *(_triple(timed[row.model].itl, ".1f") if row.model in timed else None, _triple(row.duration)),
                *(
                    f"{row.requests_per_second:.2f}",
                    f"{row.tokens_per_second:.1f}",
                    f"{row.answer_tokens_per_second:.1f}",
                    f"{row.tokens_per_request:.0f}",
                ),
            )
            for row in rows
        ],
    )


def _triple(values: tuple[float, float, float] | None, form: str = ".0f") -> str | None:
    return None if values is None else " / ".join(format(value, form) for value in values)


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
    tag: Tag = None,
    since: From = None,
    until: To = None,
    everybody: Annotated[bool, typer.Option("--all", help="of all tenants, as the administrator")] = False,
) -> None:
    """Write all records of the key's tenant into a file, oldest first."""
    query = _given(format=kind, tag=tag) | _period(since, until)
    size = Gateway.from_settings(CliSettings()).download(
        "/admin/usage/export" if everybody else "/v1/usage/export", output, query, as_administrator=everybody
    )
    typer.echo(f"{output}: {size} bytes")


def _given(**query: str | None) -> dict[str, Any]:
    return {name: value for name, value in query.items() if value is not None}


def _period(since: str | None, until: str | None) -> dict[str, Any]:
    asked = (("from", "--from", since), ("to", "--to", until))
    return {name: moment(option, text) for name, option, text in asked if text is not None}
