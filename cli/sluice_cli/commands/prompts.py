"""`sluice prompts`: templates that are kept under a name, in versions."""

from pathlib import Path
from typing import Annotated, Any

import typer

from sluice_cli.client import Gateway, every, path_of
from sluice_cli.moments import moment, shown
from sluice_cli.output import say, show_json, show_table
from sluice_cli.platform.errors import CommandFailed
from sluice_cli.settings import CliSettings
from sluice_cli.written import document

app = typer.Typer(help="Prompts of the API key's tenant: templates with sections and variables.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="the prompt's name")]
Version = Annotated[int | None, typer.Option(min=1, help="a version; without it the one in use")]
_COLUMNS = ("name", "default_version", "newest_version", "description")


@app.command("list")
def list_prompts() -> None:
    """List the prompts, newest first."""
    show_table(_COLUMNS, [[row[column] for column in _COLUMNS] for row in every(_gateway().user, "/v1/prompts")])


@app.command()
def show(name: Name, version: Version = None) -> None:
    """Show what a version says, as JSON."""
    gateway = _gateway()
    wanted = version or gateway.user("GET", path_of("/v1/prompts", name))["default_version"]
    show_json(gateway.user("GET", path_of("/v1/prompts", name, "versions", wanted)))


@app.command()
def push(
    name: Name,
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="YAML or JSON: sections, defaults, model …")
    ],
    release: Annotated[bool, typer.Option("--release", help="put it in use at once")] = False,
) -> None:
    """Make a prompt of a file, or add a version to the one of that name."""
    template, gateway = _read(file), _gateway()
    if any(row["name"] == name for row in every(gateway.user, "/v1/prompts")):
        made = gateway.user("POST", path_of("/v1/prompts", name, "versions"), json={**template, "release": release})
        say(
            f"{name}: version {made['version']}{' is in use' if release else f', put in use by `sluice prompts release {name}`'}."
        )
    else:
        gateway.user("POST", "/v1/prompts", json={**template, "name": name})
        say(f"{name}: version 1 is in use.")


@app.command()
def release(name: Name, version: Version = None) -> None:
    """Put a version in use, by default the newest, which ends a split; an older one takes back what came after it."""
    gateway = _gateway()
    wanted = version or gateway.user("GET", path_of("/v1/prompts", name))["newest_version"]
    gateway.user("PATCH", path_of("/v1/prompts", name), json={"default_version": wanted})
    say(f"{name}: version {wanted} is in use.")


@app.command()
def split(
    name: Name,
    weights: Annotated[
        list[str] | None, typer.Argument(metavar="[VERSION=WEIGHT]...", help="such as 1=90 2=10; none shows it")
    ] = None,
    file: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="YAML or JSON of the split, as the API takes it")
    ] = None,
    tune: Annotated[
        str | None,
        typer.Option(metavar="OBJECTIVE", help="let weights follow it: feedback, validity, cost or latency"),
    ] = None,
    end: Annotated[bool, typer.Option("--end", help="end it; the version in use answers")] = False,
    changes: Annotated[bool, typer.Option("--changes", help="show who or what changed it")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Show or change how requests that name no version are split between versions."""
    gateway, path = _gateway(), path_of("/v1/prompts", name, "split")
    if tune is not None and not (weights or file):
        raise CommandFailed("--tune needs the weights to begin with, such as 1=50 2=50, or --file.")
    if sum((bool(weights), file is not None, end, changes)) > 1:
        raise CommandFailed("Say one of: weights, --file, --end and --changes.")
    if changes:
        rows = [_change(row) for row in every(gateway.user, f"{path}/changes")]
        show_table(("at", "by", "action", "weights", "in use", "why"), rows, folded="why")
        return
    if end:
        gateway.user("DELETE", path)
        say(f"{name}: version {gateway.user('GET', path_of('/v1/prompts', name))['default_version']} is in use.")
        return
    if weights or file is not None:
        body: dict[str, Any] = _read(file) if file is not None else {"shares": [_share(text) for text in weights or ()]}
        if tune is not None:
            body = {**body, "tune": {**(body.get("tune") or {}), "objective": tune}}
        found = gateway.user("PUT", path, json=body)
    else:
        found = gateway.user("GET", path)
    if as_json:
        show_json(found)
        return
    whole = sum(share["weight"] for share in found["shares"])
    rows = [(share["version"], share["weight"], f"{share['weight'] / whole:.1%}") for share in found["shares"]]
    show_table(("version", "weight", "of requests"), rows)
    if found["tuning"] is not None:
        columns = ("version", "outcomes", "mean", "low", "high", "best", "dropped")
        say(f"\nFollows {found['tune']['objective']}. {found['tuning']['why']}")
        show_table(columns, [[_number(row[column]) for column in columns] for row in found["tuning"]["versions"]])


@app.command()
def render(
    name: Name,
    value: Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="a variable; repeat")] = None,
    version: Version = None,
) -> None:
    """Print the messages that a model would be sent."""
    body = {"version": version, "variables": dict(_pair(text) for text in value or ())}
    for message in _gateway().user("POST", path_of("/v1/prompts", name, "render"), json=body)["messages"]:
        say(f"[{message['role']}]\n{message['content']}\n")


@app.command()
def lint(
    what: Annotated[str, typer.Argument(help="a file (YAML or JSON), or the name of a stored prompt")],
    version: Version = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Say what is wrong with a prompt, or may be; ends with 1 when there is an error."""
    if Path(what).is_file():
        found = _gateway().user("POST", "/v1/prompts/lint", json=_read(Path(what)))
    else:
        found = _gateway().user(
            "GET", path_of("/v1/prompts", what, "lint"), params={"version": version} if version else {}
        )
    if as_json:
        show_json(found)
    else:
        columns = ("level", "code", "section", "message")
        show_table(columns, [[row[column] for column in columns] for row in found["findings"]])
        cost = found["cost_per_1000_usd"]
        priced = "" if cost is None else f", ${cost:.4f} in a thousand requests"
        say(
            f"about {found['tokens']} tokens of its own{priced}; needs {', '.join(found['required']) or 'no variables'}"
        )
    if not found["ok"]:
        raise typer.Exit(1)


@app.command()
def compare(
    name: Name,
    since: Annotated[str | None, typer.Option("--from", help="requests from this day or time on; 30 days ago")] = None,
    until: Annotated[str | None, typer.Option("--to", help="requests before this day or time")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Show the versions of a prompt side by side: requests, cost, times and feedback."""
    asked = (("from", "--from", since), ("to", "--to", until))
    query = {field: moment(option, text) for field, option, text in asked if text is not None}
    found = _gateway().user("GET", path_of("/v1/prompts", name, "usage"), params=query)
    if as_json:
        show_json(found)
        return
    columns = (
        "version",
        "requests",
        "errors",
        "prompt_tokens",
        "completion_tokens",
        "cost_usd",
        "cost_per_request_usd",
        "wrong_form",
    )
    times = ("duration_ms", "ttft_ms")
    show_table(
        (*columns, *(f"{time} p50/p95" for time in times), "liked", "rated"),
        [
            [
                *(row[column] for column in columns),
                *(
                    "" if row[time]["p50"] is None else f"{row[time]['p50']:.0f}/{row[time]['p95']:.0f}"
                    for time in times
                ),
                *_said(row["feedback"]),
            ]
            for row in found["data"]
        ],
    )
    if found["feedback_missing"] is not None:
        say(f"Nothing is known of feedback: {found['feedback_missing']}")


@app.command()
def delete(name: Name) -> None:
    """Delete a prompt with all its versions, for good."""
    _gateway().user("DELETE", path_of("/v1/prompts", name))
    say(f"{name} is deleted.")


def _gateway() -> Gateway:
    return Gateway.from_settings(CliSettings())


def _read(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as exc:
        raise CommandFailed(f"{file} cannot be read as YAML or JSON: {exc}") from exc
    found = document(text, str(file))
    if not isinstance(found, dict):
        raise CommandFailed(f"{file} must hold an object with `sections`.")
    return found


def _said(feedback: dict[str, Any] | None) -> tuple[str, str]:
    if feedback is None:
        return "", ""
    thumbs, ratings = feedback["thumbs"], feedback["ratings"]
    liked = f"{thumbs['up']} of {thumbs['up'] + thumbs['down']}"
    return liked, f"{feedback['rating']:.1f} ({ratings})" if ratings else ""


def _share(text: str) -> dict[str, Any]:
    version, _, weight = text.partition("=")
    try:
        return {"version": int(version), "weight": float(weight)}
    except ValueError as exc:
        raise CommandFailed(f"{text}: write VERSION=WEIGHT, such as 2=10.") from exc


def _number(value: Any) -> Any:
    return f"{value:.4g}" if isinstance(value, float) else value


def _change(row: dict[str, Any]) -> tuple[str, ...]:
    weights = " ".join(f"{share['version']}={share['weight']:g}" for share in row["shares"])
    return shown(row["at"]) or "", row["by"], row["action"], weights or "none", str(row["default_version"]), row["why"]


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise CommandFailed(f"--set {text}: write NAME=VALUE.")
    return name, value
