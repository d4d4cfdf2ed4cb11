"""`sluice router`: what is in force, how it came to that, and the classifiers that routes' rules ask."""

from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from typing import Annotated, Any

import typer

from sluice_cli.client import Gateway, every
from sluice_cli.output import say, show_json, show_table
from sluice_cli.platform.place import layout_of
from sluice_cli.settings import CliSettings

app = typer.Typer(help="The router: what is in force, its history, its classifiers.", no_args_is_help=True)
Url = Annotated[str, typer.Option(help="the router's address; else the one of the platform of this machine")]
_CLASSES = ("intent", "examples", "precision", "recall", "taken for")
_VERSIONS = ("version", "at", "actor", "action", "objects")
_CALIBRATION = ("confidence", "right", "texts")
_CURVE = ("floor", "in scope and right", "out of scope found")


@app.command()
def train(
    url: Url = "",
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Train the intent classifier from intents.yaml, use it from now on, and say what it is worth."""
    report = _router(url).admin("POST", "/v1/classifiers/intent/train")
    if as_json:
        show_json(report)
    else:
        _show(report)


@app.command()
def reload(url: Url = "") -> None:
    """Read models.yaml now; a wrong one is refused and the old one stays in force."""
    done = _router(url).admin("POST", "/v1/reload")
    say(f"{'Changed' if done['changed'] else 'Nothing changed'}; snapshot {done['version']} is in force.")


@app.command()
def status(url: Url = "") -> None:
    """Show which file and which version of the registry are in force, and what is held back, as JSON."""
    there = _router(url)
    show_json({"file": there.admin("GET", "/v1/config"), "registry": there.admin("GET", "/admin/registry")})


@app.command()
def versions(
    count: Annotated[int, typer.Option("--limit", min=1, help="how many at most")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON, with each object before and after")] = False,
) -> None:
    """List changes of the registry, newest first."""
    found = list(islice(every(Gateway.from_settings(CliSettings()).admin, "/admin/registry/versions"), count))
    if as_json:
        show_json(found)
        return
    show_table(_VERSIONS, [_version(one) for one in found], folded="objects")


@app.command()
def rollback(
    version: Annotated[int, typer.Argument(min=0, help="the version to bring back; 0 is before the first change")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="check it and change nothing")] = False,
) -> None:
    """Bring everything that was made through the API back to how it was at a version."""
    done = Gateway.from_settings(CliSettings()).admin(
        "POST", "/admin/registry/rollback", json={"version": version}, params={"dry_run": dry_run}
    )
    say(
        f"{'Would be' if dry_run else 'In force:'} version {done['version']} with {done['objects']} objects, as at {version}."
    )


def _router(url: str) -> Gateway:
    settings = CliSettings()
    return replace(Gateway.from_settings(settings), url=(url or layout_of(settings).url("router")).rstrip("/"))


def _version(one: dict[str, Any]) -> tuple[object, ...]:
    at = datetime.fromtimestamp(one["at"], UTC).isoformat(sep=" ", timespec="seconds")
    objects = ", ".join(f"{change['kind']} {change['name']}" for change in one["changes"])
    return one["version"], at, one["actor"], one["action"], objects


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
