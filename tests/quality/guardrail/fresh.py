"""Reads public test sets that nothing was trained, chosen or judged by: they were picked by their descriptions and labels on 2026-11-30, and no text of them was read here.

Each is counted once for what ships and once for what shall ship next; whatever was counted stands in the reference. None of it is part of this repository. What shares half of its runs of eight words with a text
that trains, or that another reported set has, is left out (`unseen.py`), and what shares them with these does not train (`gathering.py`).
"""

import json
from pathlib import Path
from typing import Any

from tests.quality.guardrail.others import folder_of
from tests.quality.guardrail.training import Row

COMMITS = {
    "AUTHENSOR/prompt-injection-benchmark": "d19ff3a1bdd0afb7ae6f07903e297153d2dcec90",
    "PIsberg/llm-fw": "2f1f1b5f679cd1479f9e278fd7954f9f8325ab1d",
    "goodwiins/prompt-injection-defense": "7b8af34dd7e5dfb90746e8183a8a19fa0ed7b901",
}
"""The repositories that are read, and at which commit; the ordinary prompts of `mwill20/ai-guardrails` come with those of `others.py`."""

BENCHMARK, FIREWALL, EXPANDED = COMMITS
GUARDRAILS = "mwill20/ai-guardrails"
CATEGORIES = ("jailbreak", "memory-poisoning", "prompt-injection")
"""The categories of the Prompt Injection Benchmark that are about orders to an assistant; the others are about personal data, credentials and code."""


def fresh(data: Path) -> list[Row]:
    """Return the texts of every set, each once in a set and kind."""
    rows = [*_firewall(data), *_benchmark(data)]
    path = folder_of(data, GUARDRAILS) / "datasets/Clean_Benign_Corpus_v1.jsonl"
    lines = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    rows += [Row(one["prompt"], False, one["category"], "ai-guardrails, clean") for one in lines]
    return list({(row.text.strip(), row.set, row.attack): row for row in rows if row.text.strip()}.values())


def words(data: Path) -> list[Row]:
    """Return harmless texts that another project made out of frames and attackers' words and reports figures on; they set the point of earlier weights and only score today."""
    found = _read(data, EXPANDED, "data/notinject_expanded.json")
    return list({one["text"]: Row(one["text"], False, one["domain"], "frames of words") for one in found}.values())


def _firewall(data: Path) -> list[Row]:
    """Return the tests of a firewall for prompts: its own, and two public ones that lie beside them."""
    rows = []
    for file, name in (
        ("gandalf-ignore-instructions", "Gandalf, test"),
        ("safeguard-prompt-injection", "safe-guard, test"),
        ("benign-realistic", "llm-fw"),
        ("heldout", "llm-fw"),
    ):
        found = _read(data, FIREWALL, f"test/eval/data/{file}.json")["rows"]
        # What is no user's text is judged by other detectors.
        rows += [Row(one["text"], int(one["label"]) == 1, file, name) for one in found if not one.get("surface")]
    corpus = _read(data, FIREWALL, "test/detection/fixtures/corpus.json")
    rows += [Row(text, False, "corpus", "llm-fw") for text in corpus["benign"]]
    rows += [Row(one["prompt"], True, "corpus", "llm-fw") for one in corpus["attacks"]]
    return rows + [Row(text, True, "attacks", "llm-fw") for text in _read(data, FIREWALL, "data/attacks.json")]


def _benchmark(data: Path) -> list[Row]:
    paths = sorted((folder_of(data, BENCHMARK) / "benchmark/v1").glob("*/*.json"))
    found = [one for path in paths for one in json.loads(path.read_text(encoding="utf-8"))]
    return [
        Row(one["input"], bool(one["expected_detection"]), one["category"], "Prompt Injection Benchmark")
        for one in found
        if one["category"] in CATEGORIES
    ]


def _read(data: Path, name: str, path: str) -> Any:
    return json.loads((folder_of(data, name) / path).read_text(encoding="utf-8"))
