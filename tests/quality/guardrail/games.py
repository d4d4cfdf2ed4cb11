"""Reads what people typed to win games against a language model: to make it tell a secret, or say what it should not.

What trains of the public sets is their train split; HackAPrompt and the competition of SaTML 2024 have none for attacks. The copies are those of other projects on GitHub, as the sets themselves lie elsewhere;
the model card says how the split of each row is known. Players also chat, and every row is labelled an attack: of three sets only texts that name the secret, the prompt or its rules train.
"""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml
from tests.quality.guardrail.others import folder_of
from tests.quality.guardrail.sources import json_lines, without_mark
from tests.quality.guardrail.training import Row

COMMITS = {
    "Parapet-Tech/parapet": "17394b7ef07d93cd480f8a2b1609ba251f8c4629",
    "SyaugiAlkaf/vanguard": "a0b63f81110a5c789839bed5b749e0417038edf2",
    "le-douds/Prompt-Injection-Robustness-Evaluator": "f8e2f2831ea51a3e3c5455c4de8cec4226fbf186",
}
"""The repositories that are read, and at which commit."""

PARAPET, VANGUARD, EVALUATOR = COMMITS
GANDALF_TRAIN = 777
"""The first rows of the copy of Gandalf's messages are its train split; validation (111) and test (112) follow."""

_AIM = re.compile(
    r"(?i)\b(?:the|your|this|that|his|its)\s+(?:secret|hidden|real|actual|current|exact|full|whole|system|level|mosscap)?\s*(?:pass ?(?:word|phrase|code)|pw|pwd|secret|code ?word|key ?word|key|word)\b"
    r"|\bsecret (?:password|word|key|code)\b"
    r"|\b(?:ignore|disregard|forget|override|bypass|pretend|previous|prior|above|initial|initiali[sz]ation|earlier|system|instructions?|rules?|prompt|directives?|prelude|prologue)\b"
)
"""What a text names that goes for a secret, the prompt or its rules."""

_FIRST = 60  # letters: texts that begin alike are one player's tries
_SHORTEST = 25  # letters of an attack on HackAPrompt, of which many are halves of words
_DRAWN = 9  # HackAPrompt's levels from here on are made of backslashes and emoji


def games(data: Path) -> list[Row]:
    """Return the attacks, each kind of beginning once."""
    found = [
        *_firsts("Gandalf", _numbered(data, "gandalf", GANDALF_TRAIN)),
        *_firsts("Mosscap", (text for text in _numbered(data, "mosscap") if _AIM.search(text))),
        *_firsts("Gandalf, texts to sum up", _summed_up(data)),
        *_firsts("SaTML 2024", (text for text in _secrets(data) if _AIM.search(text))),
        *_firsts("HackAPrompt", (text for text in _competition(data) if _AIM.search(text))),
    ]
    return [Row(text, True, name, "games") for name, text in found]


def _firsts(name: str, texts: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield the name and each text but those that begin as an earlier one."""
    seen = set()
    for text in texts:
        start = " ".join(text.lower().split())[:_FIRST]
        if start and start not in seen:
            seen.add(start)
            yield name, text


def _numbered(data: Path, name: str, most: int | None = None) -> Iterator[str]:
    """Yield the texts of a copy whose rows are numbered in the order of its set, the first so many of them."""
    path = folder_of(data, PARAPET) / f"schema/eval/opensource_{name}_attacks.yaml"
    rows = yaml.load(path.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    for row in rows:
        if most is None or int(row["id"].rpartition("-")[2]) < most:
            yield str(row["content"])


def _summed_up(data: Path) -> list[str]:
    """Return the train split of what players gave Gandalf to sum up: the copy has test (13 rows) before it and validation (13) behind it."""
    rows = json_lines(folder_of(data, VANGUARD) / "data/raw/attack.jsonl")
    return [str(row["prompt"]) for row in rows if row["source"] == "Lakera/gandalf_summarization"][13:-13]


def _secrets(data: Path) -> Iterator[str]:
    """Yield first turns of the attacks in the competition of SaTML 2024: what that copy has for texts that go for a secret, without its other sources."""
    folder = folder_of(data, VANGUARD) / "data"
    others = json_lines(folder / "raw/attack.jsonl") + json_lines(folder / "raw/exfil_curated.jsonl")
    known = {" ".join(str(row["prompt"]).lower().split()) for row in others}
    for row in json_lines(folder / "sft/train_v5.jsonl"):
        _, asked, answered = (one["content"] for one in row["messages"])
        if answered == "EXFILTRATION" and " ".join(asked.lower().split()) not in known:
            yield asked


def _competition(data: Path) -> Iterator[str]:
    path = folder_of(data, EVALUATOR) / "datasets/hackaprompt.json"
    for row in json.loads(path.read_text(encoding="utf-8")):
        if row["level"] < _DRAWN and len(row["user_input"]) >= _SHORTEST:
            yield without_mark(row["user_input"])
