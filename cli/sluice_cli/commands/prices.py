"""`sluice prices`: what models cost, where that comes from, and prices of one's own."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from sluice_cli.client import Gateway, every, path_of
from sluice_cli.moments import moment
from sluice_cli.output import say, show_json, show_table
from sluice_cli.platform.errors import CommandFailed
from sluice_cli.settings import CliSettings

app = typer.Typer(help="What models cost, in US dollars per million tokens.", no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="print JSON")]
Model = Annotated[str, typer.Argument(help="the model, as callers name it")]
_COLUMNS = ("model", "input", "output", "cached_input", "request", "tiers", "source")
_OWN_COLUMNS = ("id", "model", "valid_from", "input", "output", "deleted_at")
_RATES = ("input", "output", "cached_input", "cache_write", "cache_write_1h", "audio_input", "image_input", "reasoning",
          "audio_output")  # fmt: skip


@app.command("list")
def list_prices(as_json: AsJson = False) -> None:
    """List all models with the price that holds now and its source; a model without a price has empty cells."""
    found = _gateway().admin("GET", "/admin/prices")["data"]
    if as_json:
        show_json(found)
        return
    show_table(_COLUMNS, [_row(row) for row in found])


@app.command()
def show(model: Model) -> None:
    """Show a model's price with its source, version and tiers, what is published for it, and all overrides, as JSON."""
    found = _gateway().admin("GET", "/admin/prices", params={"model": model})["data"]
    if not found:
        raise CommandFailed(f"There is no model {model}. `sluice prices list` lists them.")
    show_json(found[0])


@app.command("set")
def set_price(
    model: Model,
    input_usd: Annotated[float, typer.Option("--input", min=0, help="a million tokens of the prompt")],
    output_usd: Annotated[float, typer.Option("--output", min=0, help="a million tokens of the answer")] = 0.0,
    cached_input: Annotated[float | None, typer.Option(min=0, help="of the prompt, read from a cache")] = None,
    cache_write: Annotated[float | None, typer.Option(min=0, help="of the prompt, written to a cache")] = None,
    cache_write_1h: Annotated[
        float | None, typer.Option("--cache-write-1h", min=0, help="of these, what is kept there for an hour")
    ] = None,
    audio_input: Annotated[float | None, typer.Option(min=0, help="of sound in the prompt")] = None,
    image_input: Annotated[float | None, typer.Option(min=0, help="of images in the prompt")] = None,
    reasoning: Annotated[float | None, typer.Option(min=0, help="of thinking")] = None,
    audio_output: Annotated[float | None, typer.Option(min=0, help="of sound in the answer")] = None,
    request: Annotated[float, typer.Option(min=0, help="dollars for each request")] = 0.0,
    tier: Annotated[
        list[str] | None,
        typer.Option(metavar="ABOVE:INPUT:OUTPUT", help="other rates for prompts of more tokens; repeat for several"),
    ] = None,
    valid_from: Annotated[
        str | None, typer.Option("--from", help="when it begins to hold, such as 2027-01-01 (UTC); else now")
    ] = None,
) -> None:
    """Set a price for a model in all gateways; what was charged so far stays."""
    given = (input_usd, output_usd, cached_input, cache_write, cache_write_1h, audio_input, image_input, reasoning,
             audio_output)  # fmt: skip
    body: dict[str, Any] = {"model": model, "request": request}
    body |= {name: value for name, value in zip(_RATES, given, strict=True) if value is not None}
    body |= {"tiers": [_tier(text) for text in tier]} if tier else {}
    body |= {"valid_from": moment("--from", valid_from)} if valid_from else {}
    gateway = _gateway()
    say(gateway.admin("POST", "/admin/prices/overrides", json=body)["id"])
    found = gateway.admin("GET", "/admin/prices", params={"model": model})["data"]
    if not found:
        say(f"There is no model {model} yet; the price waits for it.")
    elif ((found[0]["published"] or {}).get("source") or "").startswith("config"):
        say(f"models.yaml has a price for {model}, which comes before this one; remove it there.")


@app.command()
def overrides(
    model: Annotated[str | None, typer.Option(help="of this model only")] = None,
    deleted: Annotated[bool, typer.Option("--deleted", help="deleted ones as well")] = False,
    as_json: AsJson = False,
) -> None:
    """List the prices that were set here, newest first."""
    query: dict[str, Any] = {"deleted": deleted, **({"model": model} if model else {})}
    found = list(every(_gateway().admin, "/admin/prices/overrides", query))
    if as_json:
        show_json(found)
        return
    rows = [
        {**row, **row["price"], "valid_from": _day(row["valid_from"]), "deleted_at": _day(row["deleted_at"])}
        for row in found
    ]
    show_table(_OWN_COLUMNS, [[row.get(column) for column in _OWN_COLUMNS] for row in rows])


@app.command()
def delete(price_id: Annotated[str, typer.Argument(help="the override's id, price_…")]) -> None:
    """Let an override hold no more; what was charged at it stays."""
    gone = _gateway().admin("DELETE", path_of("/admin/prices/overrides", price_id))
    say(f"{price_id} of {gone['model']} is deleted.")


def _gateway() -> Gateway:
    return Gateway.from_settings(CliSettings())


def _row(row: dict[str, Any]) -> list[object]:
    price = row["price"] or {}
    shown = {
        **price,
        "model": row["model"],
        "tiers": ", ".join(f"> {tier['above']}" for tier in price.get("tiers", ())),
    }
    return [shown.get(column) for column in _COLUMNS]


def _tier(text: str) -> dict[str, float]:
    try:
        above, input_usd, output_usd = text.split(":")
        return {"above": int(above), "input": float(input_usd), "output": float(output_usd)}
    except ValueError:
        raise CommandFailed(f"--tier {text} is not ABOVE:INPUT:OUTPUT, such as 200000:2.5:15.") from None


def _day(at: float | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")
