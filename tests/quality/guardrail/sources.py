"""Reads the data that the guardrail's heads are trained and scored on; none of it is part of the repository."""

import ast
import csv
import gzip
import hashlib
import json
import random
from collections.abc import Iterator
from pathlib import Path

from tests.quality.guardrail.training import Row

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
KINDS = ("email", "table", "code")
ATTACKS_IN = {"email": "text_attack", "table": "text_attack", "code": "code_attack"}


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
