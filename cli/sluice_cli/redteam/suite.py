"""What a red team sends: cases made here, and those of a file."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sluice_cli.platform.errors import CommandFailed
from sluice_cli.redteam.attacks import attacks
from sluice_cli.redteam.benign import benign
from sluice_cli.redteam.tools import ordinary, poisoned

_SHAPE = '{"text": "…", "family": "…", "attack": true, "tools": [{"type": "function", "function": {"name": "…"}}], "result": "…"}'


class Case(NamedTuple):
    """A text to send as a user, with `tools` that it may call and the `result` of the first of them; `attack` says whether it should be stopped or answered."""

    family: str
    text: str
    attack: bool
    tools: tuple[dict[str, Any], ...] = ()
    result: str | None = None

    def shown(self) -> str:
        """Return what a reader wants to see of it: the text, and with tools what came with it."""
        beside = [json.dumps(self.tools, ensure_ascii=False)] if self.tools else []
        return " | ".join([repr(self.text), *beside, *([repr(self.result)] if self.result is not None else [])])

    def request(self) -> dict[str, Any]:
        """Return the request of a chat that says it."""
        messages: list[dict[str, Any]] = [{"role": "user", "content": self.text}]
        if self.result is not None:
            called = {"name": self.tools[0]["function"]["name"], "arguments": "{}"}
            calls = [{"id": "call_1", "type": "function", "function": called}]
            messages.append({"role": "assistant", "content": None, "tool_calls": calls})
            messages.append({"role": "tool", "tool_call_id": "call_1", "content": self.result})
        return {"messages": messages, **({"tools": self.tools} if self.tools else {})}


def made_cases(each: int, seed: int) -> list[Case]:
    """Return up to `each` attacks and ordinary requests of every family."""
    said = [
        Case(family, text, attack)
        for made, attack in ((attacks(each, seed), True), (benign(each, seed), False))
        for family, texts in made.items()
        for text in texts[:each]
    ]
    with_tools = [
        Case(family, one.text, attack, one.tools, one.result)
        for made, attack in ((poisoned(each, seed), True), (ordinary(each, seed), False))
        for family, ones in made.items()
        for one in ones
    ]
    return said + with_tools


def read_cases(path: Path) -> list[Case]:
    """Return the cases of a file of JSON lines: `text`, and optionally `family`, `attack` (true if absent), `tools` and the `result` of the first of them.

    Raises:
        CommandFailed: a line is no such object; the sentence names it.
    """
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            case = Case(
                row.get("family", path.stem),
                row["text"],
                row.get("attack", True),
                tuple(row.get("tools", ())),
                row.get("result"),
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            case = None
        if case is None or not _is_right(case):
            raise CommandFailed(
                f"{path}, line {number}: each line must be {_SHAPE}; all but `text` may be left out, and a `result` needs the tool that it is of."
            )
        found.append(case)
    if not found:
        raise CommandFailed(f"{path} holds no case.")
    return found


def only(cases: Sequence[Case], families: Sequence[str]) -> list[Case]:
    """Return the cases of the named families, or all if none is named.

    Raises:
        CommandFailed: a family is not there; the sentence lists those that are.
    """
    known = sorted({name for case in cases for name in _names(case.family)})
    for family in families:
        if family not in known:
            raise CommandFailed(f"There is no family {family!r}. Known: {'; '.join(known)}.")
    return [case for case in cases if not families or _names(case.family).intersection(families)]


def _names(family: str) -> set[str]:
    # What stands before a comma names all families that share it.
    return {family, family.split(",", maxsplit=1)[0]}


def _is_right(case: Case) -> bool:
    names = [one.get("function", {}).get("name") if isinstance(one, dict) else None for one in case.tools]
    return (
        isinstance(case.text, str)
        and bool(case.text.strip())
        and isinstance(case.family, str)
        and isinstance(case.attack, bool)
        and all(isinstance(name, str) for name in names)
        and (case.result is None or (isinstance(case.result, str) and bool(case.tools)))
    )
