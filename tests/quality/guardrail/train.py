"""Trains the prompt-injection head of the guardrail and reports on families that it never saw.

    python -m tests.quality.guardrail.train --contexts DIR --slabs DIR --own-source FILE.csv --families FILE.jsonl --routing FILE.jsonl.gz
        --intents FILE.jsonl.gz [--write]

`--contexts` holds the benign e-mails, code and tables of BIPIA's train split (MIT), `--slabs` train.csv and validation.csv of S-Labs/prompt-injection-dataset (MIT), `--own-source` is the CSV of
yanismiraoui/prompt_injections (Apache-2.0), `--families` the train split of neuralchemy/Prompt-injection-dataset as JSON
lines (Apache-2.0; rows from WildGuard are left out, their licence is for research), `--routing` and `--intents` are
prompts of MMLU and GSM8K (lm-sys/RouteLLM, Apache-2.0) and of CLINC150 (CC BY 3.0). No data is part of the repository.
The working point is set on benign prompts of a part that neither trains nor is reported.
"""

import argparse
import csv
import gzip
import hashlib
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tests.quality.guardrail.hard_benign import hard_benign

from sluice_guardrail.domain.folding import fold
from sluice_guardrail.domain.ngrams import BITS, WINDOW_WORDS, LinearHead, features

ROUNDS = 120
RATE = 0.08
DECAY = 3e-7
TARGET_RATE = 0.005  # of each kind of benign prompt kept for calibration that may lie above the working point
WORKING_POINT = 0.7
MARGIN = (
    1.35  # added to the working point's logit: chosen on the own `held_out` cases, so that few hard prompts are refused
)
OUT = Path(__file__).parents[3] / "services/guardrail/sluice_guardrail/weights/injection.npz"


@dataclass(frozen=True)
class Row:
    text: str
    attack: bool
    family: str
    group: str = ""


def part_of(text: str) -> str:
    """Return what an ordinary prompt is for, by hash: half are for the report, a fifth sets the working point."""
    number = hashlib.sha256(text.encode()).digest()[0] % 10
    return "report" if number < 5 else "calibrate" if number < 7 else "train"


def read_csv(path: Path, family: str) -> list[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        return [Row(line["text"], line["label"] == "1", family) for line in csv.DictReader(file)]


def read_attacks(path: Path, family: str) -> list[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        return [Row(line["prompt_injections"], True, family) for line in csv.DictReader(file)]


def read_families(path: Path) -> list[Row]:
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").rstrip("\n").split("\n")]
    kept = [row for row in rows if row["source"] != "wildguard_judgecomp" and row.get("split", "train") == "train"]
    return [Row(row["text"], int(row["label"]) == 1, row["category"], row["source"]) for row in kept]


def read_ordinary(path: Path, field: str, family: str) -> list[Row]:
    lines = gzip.decompress(path.read_bytes()).decode().rstrip("\n").split("\n")
    return [Row(json.loads(line)[field], False, family) for line in lines]


def read_contexts(folder: Path) -> list[Row]:
    found = []
    for path in sorted(folder.glob("*_train.jsonl.gz")):
        for line in gzip.decompress(path.read_bytes()).decode().rstrip("\n").split("\n"):
            row = json.loads(line)
            text = row["context"] if "context" in row else "\n".join(row["code"])
            found.append(Row(text if isinstance(text, str) else "\n".join(text), False, "contexts"))
    return found


class Sparse:
    """Feature rows in one flat array with the start of each."""

    def __init__(self, rows: Sequence[Row]) -> None:
        found = [features(fold(row.text).text) for row in rows]
        sizes = np.array([len(row) for row in found])
        self.flat = np.concatenate(found).astype(np.int64)
        self.starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        self.owner = np.repeat(np.arange(len(rows)), sizes)
        self.norm = np.sqrt(sizes)
        self.labels = np.array([row.attack for row in rows], dtype=np.float64)
        self.texts = [row.text for row in rows]


def train(rows: Sequence[Row]) -> LinearHead:
    """Fit logistic regression by Adam on all rows at once, both classes weighing the same, then set the working point."""
    rows = [row for row in rows if features(fold(row.text).text).size]
    data = Sparse(rows)
    share = data.labels.mean()
    weight = np.where(data.labels == 1, 0.5 / share, 0.5 / (1 - share)) / len(rows)
    size = 2**BITS
    theta = np.zeros(size + 1)
    first, second = np.zeros(size + 1), np.zeros(size + 1)
    for step in range(1, ROUNDS + 1):
        logits = np.add.reduceat(theta[data.flat], data.starts) / data.norm + theta[size]
        error = (1 / (1 + np.exp(-np.clip(logits, -40, 40))) - data.labels) * weight
        gradient = np.empty(size + 1)
        gradient[:size] = np.bincount(data.flat, (error / data.norm)[data.owner], size) + DECAY * theta[:size]
        gradient[size] = error.sum()
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        theta -= RATE * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-9)
    return LinearHead(theta[:-1].astype(np.float16).astype(np.float32), float(theta[-1]), 1.0, 0.0)


def calibrated(head: LinearHead, rows: Sequence[Row]) -> LinearHead:
    """Shift the scores so that at most `TARGET_RATE` of each kind of benign prompt lies above `WORKING_POINT`."""
    edges = []
    for family in sorted({row.family for row in rows}):
        scores = [head.best_window(fold(row.text).text).score for row in rows if row.family == family]
        edge = min(max(float(np.quantile(scores, 1 - TARGET_RATE)), 0.5), 1 - 1e-9)
        edges.append(float(np.log(edge / (1 - edge))))
    return replace(head, shift=float(np.log(WORKING_POINT / (1 - WORKING_POINT))) - max(edges) - MARGIN)


def windows(rows: Sequence[Row]) -> list[Row]:
    """Return the parts of long benign texts as the head will read them, besides the texts."""
    return [
        replace(row, text=" ".join(words[start : start + WINDOW_WORDS]))
        for row in rows
        if len(words := row.text.split()) > WINDOW_WORDS
        for start in range(0, len(words) - WINDOW_WORDS // 2, WINDOW_WORDS // 2)
    ]


def share_above(head: LinearHead, texts: Sequence[str]) -> float:
    return sum(head.best_window(fold(text).text).score > WORKING_POINT for text in texts) / max(1, len(texts))


def report(head: LinearHead, name: str, texts: Sequence[str]) -> None:
    print(f"{name:<44} {len(texts):>6} {share_above(head, texts):>7.1%}", flush=True)


def own(name: str, split: str) -> list[str]:
    rows = (json.loads(line) for line in (Path(__file__).parent / f"{name}.jsonl").read_text().splitlines())
    return [row["text"] for row in rows if row["split"] == split]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option in ("contexts", "slabs", "own-source", "families", "routing", "intents"):
        parser.add_argument(f"--{option}", type=Path, required=True)
    parser.add_argument("--write", action="store_true", help="write the weights of the head trained on all families")
    parser.add_argument("--groups", type=int, default=6, help="parts into which the families are cut for leaving out")
    arguments = parser.parse_args()
    base = read_csv(arguments.slabs / "train.csv", "s-labs") + read_attacks(arguments.own_source, "multilingual")
    families = read_families(arguments.families)
    ordinary = read_ordinary(arguments.routing, "prompt", "routing") + read_ordinary(arguments.intents, "text", "clinc")
    ordinary += read_contexts(arguments.contexts)
    kept = [row for row in ordinary if part_of(row.text) == "report"]
    edge = [row for row in ordinary if part_of(row.text) == "calibrate" and row.family in ("routing", "clinc")]
    used = [row for row in ordinary if part_of(row.text) == "train"]
    hard = hard_benign()
    used += windows(used) + [Row(text, False, "hard") for text, out in hard if not out] * 3
    used += [Row(text, False, "own") for text in own("benign", "dev")] * 2
    base += [Row(text, True, "own") for text in own("attacks", "dev")]
    names = sorted({row.family for row in families if row.attack})
    random.Random(7).shuffle(names)
    print(f"{'set (family left out of training)':<44} {'texts':>6} {'above':>7}")
    for group in range(arguments.groups):
        out = set(names[group :: arguments.groups])
        head = calibrated(train(base + used + [row for row in families if row.family not in out]), edge)
        report(head, "benign: MMLU and GSM8K, other half", [row.text for row in kept if row.family == "routing"][:1500])
        report(head, "benign: CLINC150, other half", [row.text for row in kept if row.family == "clinc"][:3000])
        for name in sorted(out):
            report(head, f"attack: {name}", [row.text for row in families if row.family == name and row.attack])
    head = calibrated(train(base + used + families), edge)
    print("trained on all families:")
    report(head, "benign: MMLU and GSM8K, other half", [row.text for row in kept if row.family == "routing"])
    report(head, "benign: CLINC150, other half", [row.text for row in kept if row.family == "clinc"])
    report(head, "benign: e-mails, code and tables, other half", [row.text for row in kept if row.family == "contexts"])
    report(head, "benign that looks dangerous, kept combinations", [text for text, out in hard if out])
    for split in ("dev", "held_out"):
        report(head, f"benign that looks dangerous, own ({split})", own("benign", split))
        report(head, f"attack, own ({split})", own("attacks", split))
    validation = read_csv(arguments.slabs / "validation.csv", "s-labs")
    report(head, "benign: s-labs validation", [row.text for row in validation if not row.attack])
    report(head, "attack: s-labs validation", [row.text for row in validation if row.attack])
    if arguments.write:
        OUT.parent.mkdir(exist_ok=True)
        weights = head.weights.astype(np.float16)
        np.savez_compressed(OUT, weights=weights, head=np.array([head.bias, head.scale, head.shift]))
        print(f"{OUT.name} sha256 {hashlib.sha256(OUT.read_bytes()).hexdigest()}")


if __name__ == "__main__":
    main()
