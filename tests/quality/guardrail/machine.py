"""Reads what people paste into prompts besides questions: source code, configuration, tables, logs and documentation.

Trained on are files of the packages that `collect.py` brings, each at a fixed version and with a permissive licence; files of this machine are only reported on.
Which part a file is for is chosen by its package, so that a report reads packages that no head has seen.
"""

import random
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from email.message import Message
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import cast

from tests.quality.guardrail.sources import part_of
from tests.quality.guardrail.training import Row

SIZES = (300, 1000, 4000)
_PERMISSIVE = re.compile(r"(?i)\b(?:MIT|BSD|Apache|PSF|ISC|Python Software|PostgreSQL)")
_KINDS = {
    ".py": "python", ".pyi": "python", ".js": "javascript", ".ts": "javascript", ".css": "markup", ".html": "markup", ".xml": "markup", ".h": "c", ".c": "c", ".cpp": "c", ".hpp": "c", ".cu": "c",
    ".json": "data", ".yaml": "data", ".yml": "data", ".toml": "data", ".csv": "data", ".ini": "data", ".sql": "scripts", ".sh": "scripts", ".pl": "scripts", ".pm": "scripts", ".tcl": "scripts",
    ".md": "documentation", ".rst": "documentation", ".txt": "documentation", ".log": "logs",
}  # fmt: skip
_SENTENCE = re.compile(r"(?:(?<=[.!?:]\s)|(?<=\n))[^\n.!?]{10,200}(?:\n[^\n.!?]{3,120})?[.!?]")
_ATTACKERS_WORD = re.compile(
    r"(?i)\b(?:ignor|overrid|bypass|disregard|forget|reveal|secret|hidden|password|system|prompt|instruct|rule|restrict|filter|unlock|admin|root|developer|mode|pretend|act as|role|previous|above"
    r"|repeat|print|output|disabl|unrestrict|allow|execut|inject|hack|attack|kill|forc|unsafe|polic|guideline|confiden|leak|expos|respond|answer|instead|always|never|must|do not)"
)
_LARGEST = 400_000
# Read for the report alone: packages of the system under any licence.
_SYSTEM = ("/usr/include", "/usr/share/perl", "/usr/share/doc", "/usr/share/tcltk", "/usr/share/javascript", "/var/log")


def files(each: int, packages: Path | None, seed: int = 3) -> list[Row]:
    """Return up to `each` files of every kind and part; `family` is the kind, `set` is `machine` and the part.

    `packages` is a folder that packages were installed into; without it there are the files of this machine alone.
    """
    found: dict[tuple[str, str], list[Path]] = defaultdict(list)
    for owner, path in _paths(packages):
        kind = _KINDS.get(path.suffix)
        if kind is not None:
            found[kind, "report" if owner == "system" else part_of(owner)].append(path)
    rows = []
    for (kind, part), paths in sorted(found.items()):
        paths.sort()
        random.Random(seed).shuffle(paths)
        texts = (text for path in paths if (text := _text(path)) is not None)
        rows += [Row(text, False, kind, f"machine {part}") for text in islice(texts, each)]
    return rows


def _paths(packages: Path | None) -> Iterator[tuple[str, Path]]:
    for one in () if packages is None else metadata.distributions(path=[str(packages)]):
        if _is_permissive(cast("Message", one.metadata)):
            yield from ((one.metadata["Name"], Path(str(one.locate_file(file)))) for file in one.files or ())
    for place in _SYSTEM:
        yield from (("system", path) for path in Path(place).rglob("*"))


def _is_permissive(about: Message) -> bool:
    licence = " ".join(
        [about.get("License-Expression") or "", (about.get("License") or "")[:60], *(about.get_all("Classifier") or [])]
    )
    return _PERMISSIVE.search(licence) is not None and "GPL" not in licence


def _text(path: Path) -> str | None:
    try:
        if not path.is_file() or not 400 < path.stat().st_size < _LARGEST:
            return None
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def pieces(rows: Sequence[Row], size: int, each: int, seed: int = 4) -> list[Row]:
    """Return up to `each` pieces of `size` characters of every kind, one of a file, from a random place."""
    rng = random.Random(seed)
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if len(row.text) >= size and len(found[row.family]) < each:
            at = rng.randrange(len(row.text) - size + 1)
            found[row.family].append(Row(row.text[at : at + size], False, row.family, f"{row.set} {size}"))
    return [row for kept in found.values() for row in kept]


def sentences(rows: Sequence[Row], each: int, seed: int = 8) -> list[Row]:
    """Return up to `each` sentences of the code and documentation of every part that use an attacker's words: "Ignore the case of keys", "Overrides the default"."""
    found: dict[str, dict[str, Row]] = defaultdict(dict)
    for row in rows:
        if row.family not in {"python", "documentation", "scripts"}:
            continue
        name = row.set.replace("machine", "sentences")
        for text in _SENTENCE.findall(row.text):
            plain = " ".join(text.strip(" #*/\"'`-").split())
            if _ATTACKERS_WORD.search(plain) and len(plain.split()) >= 4:
                found[name].setdefault(plain, Row(plain, False, "sentences of files", name))
    rng = random.Random(seed)
    return [row for kept in found.values() for row in rng.sample(list(kept.values()), min(each, len(kept)))]
