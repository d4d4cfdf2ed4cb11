"""The options that organisations, teams and keys share: models, limits and how to take them away, notes."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from sluice_cli.platform.errors import CommandFailed


class Limit(StrEnum):
    """A limit, as its option is called."""

    REQUESTS_PER_MINUTE = "requests-per-minute"
    TOKENS_PER_MINUTE = "tokens-per-minute"
    MAX_CONCURRENT = "max-concurrent"
    BUDGET_PER_DAY_USD = "budget-per-day-usd"
    BUDGET_PER_MONTH_USD = "budget-per-month-usd"


class OrganizationLimit(StrEnum):
    """A limit of an organisation, as its option is called."""

    REQUESTS_PER_MINUTE = "requests-per-minute"
    TOKENS_PER_MINUTE = "tokens-per-minute"
    MAX_CONCURRENT = "max-concurrent"
    BUDGET_PER_DAY_USD = "budget-per-day-usd"
    BUDGET_PER_MONTH_USD = "budget-per-month-usd"
    FILE_BYTES = "file-bytes"
    UNFINISHED_BATCHES = "unfinished-batches"


Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model", help="a model that may be used, or a pattern such as gpt-4*; repeat for several; none means all"
    ),
]
AllModels = Annotated[bool, typer.Option("--all-models", help="allow every model again")]
PerMinute = Annotated[int | None, typer.Option("--requests-per-minute", min=1, help="requests a minute")]
TokensPerMinute = Annotated[int | None, typer.Option("--tokens-per-minute", min=1, help="tokens a minute")]
Concurrent = Annotated[int | None, typer.Option("--max-concurrent", min=1, help="requests at the same time")]
PerDay = Annotated[float | None, typer.Option("--budget-per-day-usd", min=0, help="US dollars a day (UTC)")]
PerMonth = Annotated[float | None, typer.Option("--budget-per-month-usd", min=0, help="US dollars a month (UTC)")]
_TAKE_AWAY = typer.Option(
    "--no-limit", metavar="LIMIT", help="a limit to take away, by its option's name; repeat for several"
)
NoLimit = Annotated[list[Limit] | None, _TAKE_AWAY]
NoOrganizationLimit = Annotated[list[OrganizationLimit] | None, _TAKE_AWAY]
FileBytes = Annotated[int | None, typer.Option("--file-bytes", min=0, help="bytes of all its files together")]
UnfinishedBatches = Annotated[
    int | None, typer.Option("--unfinished-batches", min=0, help="batches that may have no end yet")
]
Metadata = Annotated[
    list[str] | None,
    typer.Option("--metadata", metavar="NAME=VALUE", help="a note of your own; repeat for all that are to be kept"),
]
Tags = Annotated[
    list[str] | None,
    typer.Option(
        "--tag", help="a tag of each of its requests; repeat for all that are to be kept; `none` takes them away"
    ),
]
Policy = Annotated[
    str | None,
    typer.Option(help="a policy that its requests follow in place of their model's; `none` takes it away"),
]
DefaultModel = Annotated[str | None, typer.Option(help="the model of requests that name none; `none` takes it away")]
Sampling = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=VALUE",
        help="a default or limit such as temperature=0.3, preset=factual or max_tokens=800; repeat for all that are to be kept; `none` takes them away",
    ),
]
_OF_ALL = ("requests_per_minute", "tokens_per_minute", "max_concurrent", "budget_per_day_usd", "budget_per_month_usd")
_OF_ORGANIZATIONS = ("file_bytes", "unfinished_batches")


def limits(
    requests_per_minute: int | None,
    tokens_per_minute: int | None,
    max_concurrent: int | None,
    budget_per_day_usd: float | None,
    budget_per_month_usd: float | None,
    no_limit: list[Limit] | list[OrganizationLimit] | None = None,
    kept: tuple[int | None, int | None] = (None, None),
) -> dict[str, Any]:
    """Return the body's `limits` with what was given; a limit to take away is null. `kept` are bytes of files and unfinished batches."""
    of_all = (requests_per_minute, tokens_per_minute, max_concurrent, budget_per_day_usd, budget_per_month_usd)
    given = dict(zip((*_OF_ALL, *_OF_ORGANIZATIONS), (*of_all, *kept), strict=True))
    found: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    found |= {name.replace("-", "_"): None for name in no_limit or ()}
    return {"limits": found} if found else {}


def models(chosen: list[str] | None, *, every: bool = False) -> dict[str, Any]:
    """Return the body's `models` with what was given; null allows every model."""
    if every:
        return {"models": None}
    return {"models": chosen} if chosen else {}


def metadata(pairs: list[str] | None) -> dict[str, Any]:
    """Return the body's `metadata` with what was given, which replaces what was there."""
    if not pairs:
        return {}
    split = [pair.partition("=") for pair in pairs]
    wrong = [name for name, equals, _ in split if not equals or not name]
    if wrong:
        raise CommandFailed(f"--metadata {wrong[0]} is not NAME=VALUE.")
    return {"metadata": {name: value for name, _, value in split}}


def tags(chosen: list[str] | None) -> dict[str, Any]:
    """Return the body's `tags` with what was given, which replaces what was there."""
    if not chosen:
        return {}
    return {"tags": [] if chosen == ["none"] else chosen}


def policy(chosen: str | None) -> dict[str, Any]:
    """Return the body's `policy` with what was given; `none` takes it away."""
    return {"policy": None if chosen == "none" else chosen} if chosen else {}


def drawing(default_model: str | None, sampling: list[str] | None) -> dict[str, Any]:
    """Return the body's `default_model` and `sampling` with what was given."""
    found: dict[str, Any] = {}
    if default_model:
        found["default_model"] = None if default_model == "none" else default_model
    if sampling:
        found["sampling"] = None if sampling == ["none"] else dict(_value(pair) for pair in sampling)
    return found


def _value(pair: str) -> tuple[str, float | str]:
    name, equals, value = pair.partition("=")
    if not equals or not name:
        raise CommandFailed(f"--sampling {pair} is not NAME=VALUE.")
    try:
        return name, int(value) if value.isdecimal() else float(value)
    except ValueError:
        return name, value


def one_line(row: dict[str, Any]) -> str:
    """Return the limits of a row in one line."""
    found = row.get("limits") or {}
    names = (*_OF_ALL, *_OF_ORGANIZATIONS)
    return ", ".join(f"{name} {found[name]:.15g}" for name in names if found.get(name) is not None)
