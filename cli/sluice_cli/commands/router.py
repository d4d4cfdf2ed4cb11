"""`sluice router`: the classifiers that routes' rules ask."""

from dataclasses import replace
from typing import Annotated, Any

import typer

from sluice_cli.client import Gateway
from sluice_cli.output import say, show_json, show_table
from sluice_cli.platform.place import layout_of
from sluice_cli.settings import CliSettings

app = typer.Typer(help="The router's classifiers.", no_args_is_help=True)
_CLASSES = ("intent", "examples", "precision", "recall", "taken for")
_CALIBRATION = ("confidence", "right", "texts")
_CURVE = ("floor", "in scope and right", "out of scope found")


@app.callback()
def router() -> None:
    """The router's classifiers."""


@app.command()
def train(
    url: Annotated[str, typer.Option(help="the router's address; else the one of the platform of this machine")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Train the intent classifier from intents.yaml, use it from now on, and say what it is worth."""
    settings = CliSettings()
    there = replace(Gateway.from_settings(settings), url=(url or layout_of(settings).url("router")).rstrip("/"))
    report = there.admin("POST", "/v1/classifiers/intent/train")
    if as_json:
        show_json(report)
    else:
        _show(report)


def _show(report: dict[str, Any]) -> None:
    say(
        f"{report['examples']} examples, each judged by a classifier that did not see it: {report['accuracy']:.1%} right"
    )
    say(
        f"taken for out of scope: {report['rejected']:.1%} of them, {_share(report['out_of_scope_found'])} of the texts that are"
    )
    say(f"calibration error {report['calibration_error']:.3f}; in use now, SHA-256 {report['sha256']}")
    show_table(_CLASSES, [_class(one) for one in report["classes"]], folded="taken for")
    show_table(
        _CALIBRATION,
        [(f"{one['confidence']:.2f}", f"{one['accuracy']:.2f}", one["count"]) for one in report["calibration"]],
    )
    show_table(
        _CURVE,
        [
            (f"{one['floor']:.2f}", f"{one['in_scope_right']:.1%}", _share(one["out_of_scope_found"]))
            for one in report["curve"]
        ],
    )


def _class(one: dict[str, Any]) -> tuple[object, ...]:
    others = ", ".join(f"{name} {count}" for name, count in one["taken_for"].items())
    return one["name"], one["examples"], _share(one["precision"]), _share(one["recall"]), others


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"
