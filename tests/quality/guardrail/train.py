"""Trains the two readings that tell attacks in prompts, and reports on families that it never saw.

    python -m tests.quality.guardrail.train --slabs DIR --own-source FILE.csv --families FILE.jsonl --routing FILE.jsonl.gz --intents FILE.jsonl.gz --vectors FILE.npz [--write]

`--slabs` holds train.csv and validation.csv of S-Labs/prompt-injection-dataset (MIT), `--own-source` is the CSV of
yanismiraoui/prompt_injections (Apache-2.0), `--families` the train split of neuralchemy/Prompt-injection-dataset as JSON
lines (Apache-2.0), `--routing` and `--intents` are prompts of MMLU and GSM8K (lm-sys/RouteLLM, Apache-2.0) and of
CLINC150 (CC BY 3.0). The rest is made by `generate/`. Three reports: a head that saw nothing of the source of the families;
heads that saw all of it but the family they are scored on; and heads that saw all benign families of our own but
the one they are scored on. The working point is set on benign texts that neither train nor are reported.
"""

import argparse
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tests.quality.guardrail.hard_benign import hard_benign
from tests.quality.guardrail.second import Vectors, network, write_network
from tests.quality.guardrail.sources import ROOT, own_cases, read_attacks, read_csv, read_families, read_ordinary
from tests.quality.guardrail.training import WORKING_POINT, Row, Sparse, edge, fitted, shifted, write

from sluice_cli.redteam.attacks import attacks
from sluice_cli.redteam.benign import benign
from sluice_guardrail.domain.folding import fold
from sluice_guardrail.domain.ngrams import Grams, grams
from sluice_guardrail.domain.second import Cascade
from sluice_guardrail.domain.skeleton import skeleton

OUT = ROOT / "services/guardrail/sluice_guardrail/weights/injection.npz"
LOGIT = float(np.log(WORKING_POINT / (1 - WORKING_POINT)))
# Shares of benign texts that may lie above the working point, for each kind that sets it.
RATES = {"clinc calibrate": 0.003, "routing calibrate": 0.003, "s-labs validation": 0.01}
TRAINED = ("windows", "s-labs", "own-source", "made", "own dev", "routing train", "clinc train")
WINDOW_WORDS = 16
IN_BAND = 0.03  # of the ordinary prompts that are read twice


def gather(options: argparse.Namespace) -> list[Row]:
    """Return all rows, each text once in a set."""
    rows = read_csv(options.slabs / "train.csv", "s-labs") + read_csv(
        options.slabs / "validation.csv", "s-labs validation"
    )
    rows += read_attacks(options.own_source, "own-source") + read_families(options.families) + own_cases()
    ordinary = read_ordinary(options.routing, "prompt", "routing") + read_ordinary(options.intents, "text", "clinc")
    random.Random(3).shuffle(ordinary)
    kept: dict[str, list[Row]] = defaultdict(list)
    for row in ordinary:
        if len(kept[row.set]) < options.ordinary:
            kept[row.set].append(row)
    rows += [row for each in kept.values() for row in each]
    rows += [Row(text, True, family, "made") for family, texts in attacks(350, 7).items() for text in texts]
    rows += [Row(text, False, family, "made") for family, texts in benign(350, 7).items() for text in texts]
    rows += [Row(text, False, "older frames", "made") for text, _ in hard_benign()]
    rows += [
        part for row in rows if row.set in ("routing train", "s-labs") and not row.attack for part in _windows(row)
    ]
    return list({(row.text, row.set): row for row in rows}.values())  # fmt: skip


def _windows(row: Row) -> list[Row]:
    # Long benign texts as the head will read them, besides the texts.
    words = row.text.split()
    return [
        replace(row, text=" ".join(words[at : at + WINDOW_WORDS]), set="windows")
        for at in range(0, len(words) - WINDOW_WORDS, WINDOW_WORDS)
    ]


class Scores:
    """The rows that are reported or set the working point, read once."""

    def __init__(self, rows: Sequence[Row], vectors: Vectors) -> None:
        self.rows = rows
        self.texts = [fold(row.text).text for row in rows]
        self.read: list[Grams] = [grams(text) for text in self.texts]
        self.vectors = vectors

    def logits(self, head: Cascade, **wanted: object) -> NDArray[np.float64]:
        """Return the best logits of the rows whose fields are as `wanted`."""
        found = [
            (text, one) for row, text, one in zip(self.rows, self.texts, self.read, strict=True) if _is(row, wanted)
        ]
        best = np.array([head.best(text, one).score for text, one in found])
        logits: NDArray[np.float64] = np.log(np.maximum(best, 1e-15) / np.maximum(1 - best, 1e-15))
        return logits

    def trained(self, data: Sparse, used: NDArray[np.bool_]) -> Cascade:
        """Fit both readings on the `used` rows and set the working point: at most `RATES` of each kind of benign text lie above.

        Both logits weigh as much as they spread. The band begins where `IN_BAND` of the ordinary prompts lie above.
        """
        first = Cascade(shifted(fitted(data, used), LOGIT))
        whole = used & data.where(row.set != "windows" for row in data.rows)
        net = network(self.vectors.of([data.rows[at] for at in np.flatnonzero(whole)]), data.labels[whole])
        alone = {name: self.logits(first, set=name, attack=False) for name in RATES}
        known = np.concatenate([*alone.values(), self.logits(first, set="s-labs validation", attack=True)])
        seen = [row for row in self.rows if row.set in RATES][::4]
        spread = np.std([net.logit(self.vectors.encode(skeleton(fold(row.text).text))) for row in seen])
        low = max(edge(alone[name], IN_BAND) for name in RATES if "calibrate" in name)
        net = replace(net, weight_first=float(1 / known.std()), weight_second=float(1 / spread), low=low, high=40.0)
        both = Cascade(first.head, net, self.vectors)
        edges = {name: edge(self.logits(both, set=name, attack=False), rate) for name, rate in RATES.items()}
        print(
            "   working points:", {name: round(value, 2) for name, value in edges.items()}, "band from", round(low, 2)
        )
        return replace(both, network=replace(net, shift=LOGIT - max(edges.values())))

    def report(self, head: Cascade, name: str, **wanted: object) -> tuple[int, int]:
        """Print how many of the wanted rows lie above the working point, and return that and their number."""
        found = self.logits(head, **wanted)
        above = int((found > LOGIT).sum())
        print(f"{name:<64} {above:>5} of {len(found):>5} {above / max(1, len(found)):>7.1%}", flush=True)
        return above, len(found)


def _is(row: Row, wanted: dict[str, object]) -> bool:
    return all(getattr(row, name) == value for name, value in wanted.items())


def benign_report(scores: Scores, head: Cascade) -> None:
    for name in ("routing report", "clinc report", "families"):
        scores.report(head, f"benign: {name}", set=name, attack=False)
    for split in ("own dev", "own held_out"):
        scores.report(head, f"benign that looks dangerous: {split}", set=split, attack=False)
        scores.report(head, f"attack: {split}", set=split, attack=True)


def left_out(data: Sparse, scores: Scores, groups: int, *, attack: bool, sets: Sequence[str], out_of: str) -> None:
    """Report each family of `out_of` by a head that was trained without it."""
    names = sorted({row.family for row in scores.rows if row.set == out_of and row.attack == attack})
    random.Random(7).shuffle(names)
    shares, above, total = [], 0, 0
    for group in range(groups):
        out = set(names[group::groups])
        frames = {"older frames"} if not attack else set()
        used = data.where(
            row.set in sets and not (row.attack == attack and row.family in out | frames) for row in data.rows
        )
        head = scores.trained(data, used)
        for name in sorted(out):
            found, count = scores.report(
                head, f"{'attack' if attack else 'benign'}, left out: {name}", set=out_of, family=name, attack=attack
            )
            shares.append(found / count)
            above, total = above + found, total + count
    print(f"left out, all texts {above / total:.1%}, mean over {len(shares)} families {sum(shares) / len(shares):.1%}")  # fmt: skip


def source_left_out(data: Sparse, scores: Scores, scored: Sequence[Row]) -> None:
    """Report the families by a head that saw nothing of their source."""
    print("without anything of the families' source:", flush=True)
    head = scores.trained(data, data.where(row.set in TRAINED for row in data.rows))
    benign_report(scores, head)
    for name in sorted({row.family for row in scored if row.set == "families" and row.attack}):
        scores.report(head, f"attack, source left out: {name}", set="families", family=name, attack=True)
    scores.report(head, "attack, source left out: all", set="families", attack=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option in ("slabs", "own-source", "families", "routing", "intents"):
        parser.add_argument(f"--{option}", type=Path, required=True)
    parser.add_argument(
        "--vectors", type=Path, required=True, help="file that keeps the encoder's vectors; made when it is not there"
    )
    parser.add_argument("--write", action="store_true", help="write the weights of the head trained on all families")
    parser.add_argument(
        "--groups", type=int, default=3, help="parts into which the families are cut for leaving out; 0: no such report"
    )
    parser.add_argument("--ordinary", type=int, default=2500, help="ordinary prompts of each source and part")
    options = parser.parse_args()  # fmt: skip
    rows = gather(options)
    scored = [
        row for row in rows if row.set not in ("windows", "s-labs", "own-source") and not row.set.endswith(" train")
    ]
    data, scores = (
        Sparse(row for row in rows if row.set in (*TRAINED, "families")),
        Scores(scored, Vectors(options.vectors)),
    )
    if options.groups:
        source_left_out(data, scores, scored)
        left_out(data, scores, options.groups, attack=True, sets=(*TRAINED, "families"), out_of="families")
        left_out(data, scores, options.groups, attack=True, sets=TRAINED, out_of="made")
        left_out(data, scores, options.groups, attack=False, sets=TRAINED, out_of="made")
    print("trained on all:", flush=True)
    head = scores.trained(data, data.where(True for _ in data.rows))
    benign_report(scores, head)
    scores.report(head, "attack: s-labs validation (source known, texts not)", set="s-labs validation", attack=True)
    if options.write:
        write(OUT, head.head)
        assert head.network is not None
        write_network(OUT.with_name("second.npz"), head.network)
    scores.vectors.save()


if __name__ == "__main__":
    main()
