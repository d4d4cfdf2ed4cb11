"""What `sluice guard` reads and sends: texts, and files of checks, asked in batches."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar, get_args

import typer
from pydantic import ValidationError

from sluice.contracts.guard import MAX_BATCH, MAX_TEXT, BatchVerdicts, CheckRequest, InputVerdict, OutputVerdict
from sluice.sentences import faults
from sluice_cli.client import Gateway
from sluice_cli.platform.errors import CommandFailed, Refused

Answer = TypeVar("Answer", InputVerdict, OutputVerdict, BatchVerdicts)
Verdict = InputVerdict | OutputVerdict
Word = Literal["passed", "flagged", "redacted", "masked", "unchecked", "blocked"]
"""What became of a text, in the words of the gateway's `x-sluice-guard`."""

WORDS: tuple[Word, ...] = get_args(Word)
_TOO_MUCH_AT_ONCE = (413, 504)  # the limits on size and time are for a whole batch
_SHAPE = '{"text": "…"}, with `stage` and `policy` if they differ, or a check as `POST /check` takes it'


class Line(NamedTuple):
    """A check and the line that it stands in."""

    number: int
    check: CheckRequest


class Answered(NamedTuple):
    """A line's verdict, and the answer as it came."""

    number: int
    verdict: Verdict
    raw: Any


def text_of(given: str | None, file: Path | None) -> str:
    """Return the text that a command is about, as it stands, to the last line end: an argument, a file, or what comes on standard input.

    Raises:
        CommandFailed: not exactly one is given, it is no UTF-8, or longer than one text may be.
    """
    if (given is None) == (file is None):
        raise CommandFailed("Give one text: as an argument, as --file, or as `-` for standard input.")
    if file is not None:
        what, raw = str(file), file.read_bytes()
    elif given == "-":
        what, raw = "Standard input", typer.get_binary_stream("stdin").read()
    else:
        what, raw = "The text", os.fsencode(given or "")
    text = _decoded(raw, what)
    if len(text) > MAX_TEXT:
        raise CommandFailed(f"{what} has {len(text)} characters, and one text has at most {MAX_TEXT}. Cut it in parts.")
    return text


def lines_of(file: Path, defaults: Mapping[str, str]) -> list[Line]:
    """Return the checks of a file of JSON lines (`-` is standard input); what a line does not say is as `defaults`.

    Raises:
        CommandFailed: a line is no check; the sentence names it and tells nothing of its text.
    """
    raw = typer.get_binary_stream("stdin").read() if str(file) == "-" else file.read_bytes()
    written = _decoded(raw, str(file)).split("\n")
    found = [
        Line(at, _check(line, f"{file}, line {at}", defaults)) for at, line in enumerate(written, 1) if line.strip()
    ]
    if not found:
        raise CommandFailed(f"{file} holds no check.")
    return found


def _decoded(raw: bytes, what: str) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as exc:
        raise CommandFailed(f"{what} is not UTF-8 text.") from exc


def _check(line: str, where: str, defaults: Mapping[str, str]) -> CheckRequest:
    try:
        said = json.loads(line)
    except (ValueError, RecursionError) as exc:
        raise CommandFailed(f"{where}: each line must be a JSON object: {_SHAPE}.") from exc
    if not isinstance(said, dict):
        raise CommandFailed(f"{where}: each line must be a JSON object: {_SHAPE}.")
    try:
        return CheckRequest.model_validate({**defaults, **said})
    except ValidationError as exc:
        wrong = " ".join(fault.sentence for fault in faults(exc.errors(include_input=False)))
        raise CommandFailed(f"{where}: {wrong}") from exc


def ask(service: Gateway, check: CheckRequest) -> Answered:
    """Ask about one text."""
    raw = service.admin("POST", "/check", json=_body(check))
    if check.stage == "input":
        return Answered(1, _read(raw, InputVerdict, service.url), raw)
    return Answered(1, _read(raw, OutputVerdict, service.url), raw)


def ask_all(service: Gateway, lines: Sequence[Line]) -> Iterator[Answered]:
    """Yield the verdicts on many checks in order, by as few questions as the service's limits on size and time let pass.

    Raises:
        CommandFailed: there is no verdict on some; the sentence names their lines.
    """
    for start in range(0, len(lines), MAX_BATCH):
        yield from _asked(service, lines[start : start + MAX_BATCH])


def _asked(service: Gateway, lines: Sequence[Line]) -> Iterator[Answered]:
    first, last = lines[0].number, lines[-1].number
    try:
        raw = service.admin("POST", "/check/batch", json={"checks": [_body(line.check) for line in lines]})
    except Refused as exc:
        if exc.status in _TOO_MUCH_AT_ONCE and len(lines) > 1:
            half = len(lines) // 2
            yield from _asked(service, lines[:half])
            yield from _asked(service, lines[half:])
            return
        where = f"Line {first}" if first == last else f"Lines {first} to {last}"
        raise CommandFailed(f"{where}: {exc}") from exc
    verdicts = _read(raw, BatchVerdicts, service.url).data
    for line, verdict, one in zip(lines, verdicts, raw["data"], strict=True):
        yield Answered(line.number, verdict, one)


def _body(check: CheckRequest) -> dict[str, Any]:
    # An older service knows only fields that were there when it was made: none is sent that says nothing.
    return check.model_dump(mode="json", exclude_defaults=True)


def _read(raw: Any, kind: type[Answer], url: str) -> Answer:
    try:
        return kind.model_validate(raw)
    except ValidationError as exc:
        raise CommandFailed(f"What {url} answers is no verdict. Is it a guardrail?") from exc


def word_of(verdict: Verdict) -> Word:
    """Return what became of a text, in one word."""
    actions = {detail.action for detail in verdict.details}
    if not verdict.safe:
        return "blocked"
    if "check_failed" in verdict.issues:
        return "unchecked"
    if "mask" in actions:
        return "masked"
    if "redact" in actions:
        return "redacted"
    return "flagged" if verdict.issues else "passed"
