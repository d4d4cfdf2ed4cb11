"""`sluice router`: what is in force, how it came to that, and the classifiers that routes' rules ask."""

import json
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from sluice_cli.client import Gateway, every, path_of
from sluice_cli.output import say, show_json, show_table
from sluice_cli.platform.errors import CommandFailed
from sluice_cli.settings import CliSettings

app = typer.Typer(help="The router: what is in force, its history, its classifiers.", no_args_is_help=True)
Url = Annotated[str, typer.Option(help="the router's address; else the one of the platform of this machine")]
_CLASSES = ("intent", "examples", "precision", "recall", "taken for")
_VERSIONS = ("version", "at", "actor", "action", "objects")
_CALIBRATION = ("confidence", "right", "texts")
_CURVE = ("rejected_share", "in scope and right", "out of scope found")


@app.command()
def train(
    classifier: Annotated[
        Literal["intent", "domain", "difficulty"],
        typer.Argument(help="from intents.yaml, from domains.yaml, or from FILE"),
    ] = "intent",
    file: Annotated[
        Path | None,
        typer.Argument(
            help="for `difficulty`: lines of JSON with `text`, and `weak` and `strong`: how good both models' answers were, 0 to 1"
        ),
    ] = None,
    url: Url = "",
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Train a classifier, use it from now on in all routers, and say what it is worth."""
    if (file is None) == (classifier == "difficulty"):
        raise CommandFailed(
            "`sluice router train difficulty FILE` takes a file of examples; intent and domain take none."
        )
    body = {} if file is None else {"json": {"examples": _examples(file)}}
    report = _router(url).admin("POST", path_of("/v1/classifiers", classifier, "train"), timeout=None, **body)
    if as_json:
        show_json(report)
    elif classifier == "difficulty":
        _show_difficulty(report)
    else:
        _show(report)


def _examples(file: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    with file.open(encoding="utf-8") as lines:  # only "\n" ends one: a text may hold U+2028
        for number, line in enumerate(lines, 1):
            try:
                one = json.loads(line)
                found.append({"text": one["text"], "weak": float(one["weak"]), "strong": float(one["strong"])})
            except (ValueError, KeyError, TypeError) as exc:
                raise CommandFailed(
                    f"{file}, line {number}: it must be JSON with text, weak and strong ({exc})."
                ) from exc
    return found


def _show_difficulty(report: dict[str, Any]) -> None:
    say(
        f"{report['examples']} examples, each judged by a classifier that did not see it: the weaker model's answers are worth "
        f"{report['weak_quality']:.3f}, the stronger one's {report['strong_quality']:.3f}"
    )
    say(f"average gap recovered {report['apgr']:.3f} (chance: 0.5); in use now, SHA-256 {report['sha256']}")
    rows = [
        (f"{one['strong_share']:.0%}", f"{one['quality']:.3f}", f"{one['gap_recovered']:.1%}")
        for one in report["curve"]
    ]
    show_table(("to the stronger", "quality", "gap recovered"), rows)


@app.command()
def explain(
    model: Annotated[str, typer.Argument(help="a route or a model")],
    text: Annotated[str, typer.Argument(help="the question")] = "",
    tokens: Annotated[
        int | None, typer.Option("--prompt-tokens", min=0, help="of the whole prompt; else a token for four bytes")
    ] = None,
    regions: Annotated[list[str] | None, typer.Option("--region", help="where its data may go; again for more")] = None,
    modalities: Annotated[
        list[str] | None, typer.Option("--modality", help="what it holds besides text: image, audio, video or file")
    ] = None,
    capabilities: Annotated[
        list[str] | None,
        typer.Option("--capability", help="what it asks for: tools, json_schema, logprobs or reasoning"),
    ] = None,
    subject: Annotated[str | None, typer.Option(help="stands for the end user in a split")] = None,
    url: Url = "",
    as_json: Annotated[bool, typer.Option("--json", help="print JSON, with every signal of every deployment")] = False,
) -> None:
    """Ask which model and deployment would answer, and why not the others; nothing is sent to them."""
    size = -(-len(text.encode()) // 4) if tokens is None else tokens
    given = {"regions": regions, "modalities": modalities, "capabilities": capabilities, "subject": subject}
    body = {"model": model, "text": text, "prompt_tokens": size, "explain": True}
    found = _router(url).admin("POST", "/route", json=body | {name: value for name, value in given.items() if value})
    if as_json:
        show_json(found)
        return
    say(f"{found['model']} on {found['instance']}: {found['reason']}")
    for sign in found["signals"] or ():
        say(f"  {sign['signal']}: {sign['value']}")
    rows = [(one["deployment"], one["model"], one["reason"]) for one in found["candidates"] or ()]
    show_table(("deployment", "model", "why, or why not"), rows, folded="why, or why not")


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
    return Gateway.of_service("router", url)


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
            (_share(one["rejected"]), f"{one['in_scope_right']:.1%}", _share(one["out_of_scope_found"]))
            for one in report["curve"]
        ],
    )


def _class(one: dict[str, Any]) -> tuple[object, ...]:
    others = ", ".join(f"{name} {count}" for name, count in one["taken_for"].items())
    return one["name"], one["examples"], _share(one["precision"]), _share(one["recall"]), others


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"
