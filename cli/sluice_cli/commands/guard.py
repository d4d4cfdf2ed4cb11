"""`sluice guard`: asks the guardrail about texts, masks what is private in them, and puts it back."""

import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from sluice.contracts.guard import CheckRequest, Segment, Stage
from sluice_cli.checks import WORDS, Answered, Verdict, ask, ask_all, lines_of, text_of, word_of
from sluice_cli.client import Gateway
from sluice_cli.moments import shown
from sluice_cli.output import say, show_json, show_table, visible
from sluice_cli.platform.errors import CommandFailed, NoVerdict

app = typer.Typer(help="The guardrail: check a text, mask what is private in it, put it back.", no_args_is_help=True)
Role = Literal["user", "system", "developer", "assistant", "tool", "function", "context", "definition", "variable"]
Text = Annotated[
    str | None, typer.Argument(help="the text; `-` reads standard input, which leaves no trace in your shell's history")
]
File = Annotated[Path | None, typer.Option("--file", exists=True, dir_okay=False, help="a file with the text")]
Policy = Annotated[str, typer.Option(help="a policy of guard.yaml")]
Url = Annotated[str, typer.Option(help="the guardrail; else that of the platform of this machine")]
AsJson = Annotated[bool, typer.Option("--json", help="print what the service answered, as JSON")]
_FINDINGS = ("issue", "category", "kind", "action", "score", "line", "characters", "reason")
_CHECKS = ("line", "verdict", "issues", "findings")


@app.command()
def check(
    text: Text = None,
    file: File = None,
    batch: Annotated[
        Path | None,
        typer.Option(
            "--batch",
            help='JSON lines such as {"text": "…"}, or as the API takes checks; `-` reads standard input',
        ),
    ] = None,
    stage: Annotated[Stage, typer.Option(help="before a model sees it, or before a caller does")] = "input",
    role: Annotated[
        Role | None,
        typer.Option(
            help="whose text an input is, such as `context` for a document, `tool` for a tool's result; else the user's"
        ),
    ] = None,
    policy: Policy = "default",
    as_json: AsJson = False,
    url: Url = "",
) -> None:
    """Ask whether a text may go on: status 0 where it may, 1 where it is blocked, 2 where there is no verdict."""
    with _or_no_verdict():
        if batch is not None:
            if text is not None or file is not None or role is not None:
                raise CommandFailed("--batch says texts and roles itself: give no text, --file or --role beside it.")
            lines = lines_of(batch, {"stage": stage, "policy": policy})
            found = list(ask_all(Gateway.of_service("guardrail", url), lines))
        else:
            said = text_of(text, file)
            found = [ask(Gateway.of_service("guardrail", url), _question(said, stage, role, policy))]
    if batch is not None:
        _show_all(found, as_json=as_json)
    elif as_json:
        show_json(found[0].raw)
    else:
        _show(found[0].verdict, said)
    if not all(one.verdict.safe for one in found):
        raise typer.Exit(1)


@app.command()
def redact(
    text: Text = None,
    file: File = None,
    vault: Annotated[
        Path | None,
        typer.Option("--vault", help="a new file for the values, sealed, which `sluice guard restore` reads"),
    ] = None,
    policy: Policy = "default",
    as_json: AsJson = False,
    url: Url = "",
) -> None:
    """Print a text with placeholders in the place of personal data and secrets; what was found is told beside it, on standard error."""
    said = text_of(text, file)
    answer = Gateway.of_service("guardrail", url).admin("POST", "/redact", json={"text": said, "policy": policy})
    masked, counts, sealed, until = _parts(answer, "text", "counts", "vault", "expires_at")
    if vault is not None:
        _keep(vault, sealed)
    if as_json:
        show_json(answer)
        return
    _write(masked)
    named = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items())) or "nothing"
    kept = (
        f"{vault} opens until {shown(until)}."
        if vault is not None
        else "--vault FILE would keep the values for `restore`."
    )
    print(f"Masked: {named}. {kept}", file=sys.stderr)


@app.command()
def restore(
    vault: Annotated[
        Path, typer.Option("--vault", exists=True, dir_okay=False, help="what `sluice guard redact` wrote")
    ],
    text: Text = None,
    file: File = None,
    as_json: AsJson = False,
    url: Url = "",
) -> None:
    """Print a text with its own values in the place of their placeholders."""
    said = text_of(text, file)
    try:
        sealed = vault.read_text(encoding="utf-8").strip()
    except UnicodeDecodeError:
        sealed = ""
    if not sealed:
        raise CommandFailed(f"{vault} is no vault of `sluice guard redact --vault`.")
    answer = Gateway.of_service("guardrail", url).admin("POST", "/restore", json={"text": said, "vault": sealed})
    (whole,) = _parts(answer, "text")
    if as_json:
        show_json(answer)
    else:
        _write(whole)


@contextmanager
def _or_no_verdict() -> Iterator[None]:
    # Status 1 says that a text is blocked, so whatever keeps a verdict away ends otherwise.
    try:
        yield
    except OSError as exc:
        raise NoVerdict(f"{exc.filename or 'sluice'}: {exc.strerror or exc}") from exc
    except CommandFailed as exc:
        raise NoVerdict(str(exc)) from exc


def _question(text: str, stage: Stage, role: Role | None, policy: str) -> CheckRequest:
    if role is None:
        return CheckRequest(stage=stage, text=text, policy=policy)
    if stage == "output":
        raise CommandFailed("--role is for inputs: an answer is the assistant's.")
    return CheckRequest(stage=stage, segments=(Segment(id="text", role=role, text=text),), policy=policy)


def _show(verdict: Verdict, text: str) -> None:
    issues = ", ".join(verdict.issues) or "no issue"
    say(f"{word_of(verdict)}: {issues} (policy {verdict.policy}, {verdict.policy_hash})")
    if not verdict.details:
        return
    rows = [
        (
            *(one.code, one.category, one.kind, one.action, f"{one.score:.2f}"),
            *(text.count("\n", 0, one.start) + 1, f"{one.start}-{one.end}", one.reason),
        )
        for one in verdict.details
    ]
    show_table(_FINDINGS, rows, folded="reason")


def _show_all(found: list[Answered], *, as_json: bool) -> None:
    if as_json:
        show_json({"data": [one.raw for one in found]})
        return
    rows = [
        (one.number, word_of(one.verdict), ", ".join(one.verdict.issues), len(one.verdict.details)) for one in found
    ]
    show_table(_CHECKS, rows, folded="issues")
    counts = Counter(word_of(one.verdict) for one in found)
    say(f"{len(found)} checked: " + ", ".join(f"{counts[word]} {word}" for word in WORDS if counts[word]))


def _parts(answer: Any, *names: str) -> list[Any]:
    if not isinstance(answer, dict) or any(answer.get(name) is None for name in names):
        raise CommandFailed("What the service answers has no text. Is it a guardrail?")
    return [answer[name] for name in names]


def _keep(file: Path, sealed: str) -> None:
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as kept:
            kept.write(sealed)
    except OSError as exc:
        raise CommandFailed(f"{file} cannot be written ({exc.strerror}).") from exc


def _write(text: str) -> None:
    """Write a text as it is, so that it can go on in a pipe; a terminal gets no commands, and a line of its own after it."""
    if sys.stdout.isatty():
        say(visible(text))
    else:
        sys.stdout.write(text)
        sys.stdout.flush()
