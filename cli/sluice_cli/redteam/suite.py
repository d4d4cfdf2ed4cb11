"""What a red team sends: cases made here, and those of a file."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from sluice_cli.platform.errors import CommandFailed
from sluice_cli.redteam.attacks import attacks
from sluice_cli.redteam.benign import benign


class Case(NamedTuple):
    """A text to send as a user; `attack` says whether it should be stopped or answered."""

    family: str
    text: str
    attack: bool


def made_cases(each: int, seed: int) -> list[Case]:
    """Return up to `each` attacks and ordinary requests of every family."""
    return [
        Case(family, text, attack)
        for made, attack in ((attacks(each, seed), True), (benign(each, seed), False))
        for family, texts in made.items()
        for text in texts[:each]
    ]


def read_cases(path: Path) -> list[Case]:
    """Return the cases of a file of JSON lines: `text`, and optionally `family` and `attack` (true if absent).

    Raises:
        CommandFailed: a line is no such object; the sentence names it.
    """
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            text, family, attack = row["text"], row.get("family", path.stem), row.get("attack", True)
        except (ValueError, KeyError, TypeError, AttributeError):
            text = family = attack = None
        if not isinstance(text, str) or not text.strip() or not isinstance(family, str) or not isinstance(attack, bool):
            raise CommandFailed(
                f'{path}, line {number}: each line must be {{"text": "…", "family": "…", "attack": true}}; `family` and '
                "`attack` may be left out."
            )
        found.append(Case(family, text, attack))
    if not found:
        raise CommandFailed(f"{path} holds no case.")
    return found


def only(cases: Sequence[Case], families: Sequence[str]) -> list[Case]:
    """Return the cases of the named families, or all if none is named.

    Raises:
        CommandFailed: a family is not there; the sentence lists those that are.
    """
    known = sorted({case.family for case in cases})
    for family in families:
        if family not in known:
            raise CommandFailed(f"There is no family {family!r}. Known: {', '.join(known)}.")
    return [case for case in cases if not families or case.family in families]
