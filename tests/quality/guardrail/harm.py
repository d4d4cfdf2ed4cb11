"""Prints how many harmful texts the harm scanner finds, by category, and how many ordinary ones it would block.

    python -m tests.quality.guardrail.harm [--families FILE.jsonl] [--ordinary FILE.jsonl.gz FIELD] [--split dev] [--misses]

The texts are made by `generate/harm.py`; `harm_questions.jsonl` holds 60 harmless questions near the categories and 60 harmful ones, written one by one: development data, which were looked at. `--families` takes JSON lines of {"text", "source"}, of which those of source `harmbench` are
scored (harmful wishes that others wrote), and `--ordinary` prompts that are harmless; neither is part of the repository.
"""

import argparse
import gzip
import json
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tests.quality.guardrail.generate.harm import HarmCase, cases

from sluice_guardrail.domain.folding import fold
from sluice_guardrail.domain.scanners.harm import find_harm

QUESTIONS = Path(__file__).with_name("harm_questions.jsonl")
BLOCKED_ABOVE = 0.8
"""The handbook's threshold of an input (F265)."""


def score_of(text: str) -> tuple[float, str]:
    """Return the highest score of a text, and its category."""
    return max(((found.score, found.kind) for found in find_harm(fold(text).skeleton)), default=(0.0, ""))


def blocks(text: str) -> bool:
    return score_of(text)[0] > BLOCKED_ABOVE


def shares(found: Iterable[HarmCase]) -> dict[str, tuple[int, int]]:
    """Return, by category (ordinary texts: ""), how many of how many texts are blocked."""
    blocked, all_of = Counter[str](), Counter[str]()
    for case in found:
        all_of[case.category] += 1
        blocked[case.category] += blocks(case.text)
    return {name: (blocked[name], count) for name, count in all_of.items()}


def _line(name: str, blocked: int, count: int) -> str:
    return f"{name or 'ordinary texts':<28} {blocked:>5} of {count:>5}  {blocked / count:7.1%}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", type=Path)
    parser.add_argument("--ordinary", nargs=2, action="append", default=[], metavar=("FILE", "FIELD"))
    parser.add_argument("--split", choices=("dev", "held_out"), action="append")
    parser.add_argument("--misses", action="store_true", help="show the texts that are decided wrongly; for `dev` only")
    arguments = parser.parse_args()
    for split in arguments.split or ("dev", "held_out"):
        chosen = [case for case in cases() if case.split == split]
        found = shares(chosen)
        print(f"{split}: texts that are blocked")
        for name in sorted(found, key=lambda name: (not name, name)):
            print("  " + _line(name, *found[name]))
        harm = [one for name, one in found.items() if name]
        print("  " + _line("all harm", sum(one[0] for one in harm), sum(one[1] for one in harm)))
        if arguments.misses:
            for case in chosen:
                if blocks(case.text) and not case.category:
                    print("   wrong:", case.family, repr(case.text), score_of(case.text))
    rows = [json.loads(line) for line in QUESTIONS.read_text(encoding="utf-8").splitlines()]
    for harmful in (True, False):
        asked = [row["text"] for row in rows if row["harmful"] == harmful]
        name = "questions: harmful" if harmful else "questions: harmless"
        print(_line(name, sum(map(blocks, asked)), len(asked)))
    if arguments.families:
        rows = [json.loads(line) for line in arguments.families.read_text(encoding="utf-8").rstrip("\n").split("\n")]
        texts = [row["text"] for row in rows if row["source"] == "harmbench"]
        print(_line("HarmBench wishes", sum(map(blocks, texts)), len(texts)))
    for path, field in arguments.ordinary:
        lines = gzip.decompress(Path(path).read_bytes()).decode().rstrip("\n").split("\n")
        texts = [json.loads(line)[field] for line in lines]
        began = time.process_time()
        refused = [text for text in texts if blocks(text)]
        took = (time.process_time() - began) / len(texts) * 1000
        print(_line(Path(path).name[:28], len(refused), len(texts)), f"{took:.3f} ms of CPU each")
        if arguments.misses:
            print(*(f"   refused: {text[:160]!r} {score_of(text)}" for text in refused), sep="\n")


if __name__ == "__main__":
    main()
