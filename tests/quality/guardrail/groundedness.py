"""Prints how well unsupported sentences are told from supported ones, by what was done to them.

    python -m tests.quality.guardrail.groundedness [--misses]

Supported sentences are taken from pages (as they are, cut short, in other words, two in one), the others are made of them: another
number, another name, a denial, an opposite word, or a sentence of another page. `dev` are the reference pages of this project, which were
looked at while the scorer was written; `held_out` are its other pages and the docstrings of Python's standard library, which were not.
"""

import argparse
import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from tests.quality.guardrail.sources import ROOT, docstrings

from sluice_guardrail.domain.grounding import judge, sentences

FLAGGED_ABOVE = 0.6
"""The handbook's threshold (F270)."""

_NAMES = ("Kestrel", "Brandenburg", "Okonkwo", "Villanova", "Pomerania", "Thornton", "Zephyrine", "Oberlin")
_SYNONYMS = (
    ("shows", "displays"), ("show", "display"), ("must", "has to"), ("starts", "begins"), ("returns", "gives back"), ("return", "give back"), ("changes", "alterations"), ("whole", "entire"),
    ("large", "big"), ("quickly", "fast"), ("makes", "creates"), ("make", "create"), ("uses", "employs"), ("needs", "requires"), ("several", "multiple"), ("each", "every"), ("error", "failure"), ("keeps", "retains"),
)  # fmt: skip
_SWAPPED = (
    ("before", "after"), ("after", "before"), ("more", "less"), ("first", "last"), ("last", "first"), ("always", "never"), ("all", "none of the"), ("above", "below"), ("below", "above"), ("longer", "shorter"),
    ("larger", "smaller"), ("true", "false"), ("empty", "full"), ("same", "different"), ("different", "same"), ("everything", "nothing"), ("fast", "slow"), ("public", "secret"), ("read", "written"), ("client", "server"), ("input", "output"), ("output", "input"),
)  # fmt: skip
_VERB = re.compile(r"\b(is|are|was|were|can|may|must|will|does|do|has|have)\b(?! not)")
_NUMBER = re.compile(r"(?<![\w.\[])(\d{1,6})(?![\w.\]]|,\d)")
_NAME = re.compile(r"(?<=[a-z,] )[A-Z][a-zA-Z]{2,}\b")


class Pair(NamedTuple):
    """A sentence with the context that it is said to come from, what was done to it, and whether the context supports it."""

    sentence: str
    context: str
    done: str
    supported: bool


def _pages(split: str) -> list[str]:
    if split == "dev":
        return [path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs" / "reference").glob("*.md"))]
    found = [path for path in sorted((ROOT / "docs").rglob("*.md")) if path.parent.name != "reference"]
    return [path.read_text(encoding="utf-8") for path in found] + ["\n\n".join(docstrings(40))]


def _paragraphs(page: str) -> list[str]:
    prose = re.sub(r"```.*?```", "", page, flags=re.DOTALL)
    plain = re.sub(r"\[([^\]]+)\]\([^)]*\)|[`*]", r"\1", prose)
    return [
        " ".join(one.split())
        for one in re.split(r"\n\s*\n", plain)
        if len(one) > 80 and not re.match(r"\s*[|#>-]", one)
    ]


def pairs(split: str, seed: int = 3) -> Iterator[Pair]:
    """Yield what is made of the pages of one split."""
    dice = random.Random(seed)
    pages = [one for one in map(_paragraphs, _pages(split)) if one]
    for at, page in enumerate(pages):
        for place in range(0, len(page), 4):
            context = "\n".join(page[place : place + 6])
            said = [one for one in _sentences(" ".join(page[place : place + 4])) if 7 <= len(one.split()) <= 40]
            for number in dice.sample(range(len(said)), min(3, len(said))):
                other = dice.choice(pages[:at] + pages[at + 1 :])
                foreign = [one for one in _sentences(dice.choice(other)) if 7 <= len(one.split()) <= 40]
                yield from _made(said, number, foreign, context, dice)


def _sentences(text: str) -> list[str]:
    found = [text[start:end].strip() for start, end in sentences(text)]
    return [
        one if one.endswith((".", "!")) else one + "."
        for one in found
        if one[:1].isupper() and not one.endswith(("?", ":"))
    ]


def _made(
    said: Sequence[str], number: int, foreign: Sequence[str], context: str, dice: random.Random
) -> Iterator[Pair]:
    one = said[number]
    yield Pair(one, context, "verbatim", supported=True)
    if "," in one and len(one.split(",")[0].split()) >= 6:
        yield Pair(one.split(",")[0] + ".", context, "cut short", supported=True)
    if (words := _replaced(one, _SYNONYMS)) != one:
        yield Pair(words, context, "other words", supported=True)
    if number + 1 < len(said):
        second = said[number + 1]
        yield Pair(f"{one[:-1]}, and {second[0].lower()}{second[1:]}", context, "two in one", supported=True)
    if (found := _NUMBER.search(one)) is not None:
        changed = str(int(found.group()) + dice.choice((1, 2, 7, 10, 300)))
        yield Pair(one[: found.start()] + changed + one[found.end() :], context, "another number", supported=False)
    if (found := _NAME.search(one)) is not None:
        yield Pair(
            one[: found.start()] + dice.choice(_NAMES) + one[found.end() :], context, "another name", supported=False
        )
    if (found := _VERB.search(one)) is not None and "not" not in one.split():
        yield Pair(f"{one[: found.end()]} not{one[found.end() :]}", context, "denied", supported=False)
    if (swapped := _replaced(one, _SWAPPED, once=True)) != one:
        yield Pair(swapped, context, "opposite word", supported=False)
    if foreign:
        yield Pair(dice.choice(foreign), context, "of another page", supported=False)


def _replaced(text: str, table: Sequence[tuple[str, str]], *, once: bool = False) -> str:
    for word, other in table:
        changed = re.sub(rf"\b{word}\b", other, text, count=1 if once else 0)
        if changed != text and once:
            return changed
        text = changed
    return text


def flagged(pair: Pair) -> bool:
    return any(1 - one.support > FLAGGED_ABOVE for one in judge(pair.sentence, [pair.context]))


def shares(split: str, every: int = 1) -> dict[tuple[bool, str], tuple[int, int]]:
    """Return how many of how many sentences are flagged (each, or every so-manieth), by whether they are supported and by what was done to them."""
    hits, all_of = Counter[tuple[bool, str]](), Counter[tuple[bool, str]]()
    for pair in islice(pairs(split), None, None, every):
        key = (pair.supported, pair.done)
        all_of[key] += 1
        hits[key] += flagged(pair)
    return {key: (hits[key], count) for key, count in all_of.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--misses", action="store_true", help="show sentences of `dev` that are judged wrongly")
    arguments = parser.parse_args()
    for split in ("dev", "held_out"):
        print(f"{split}: sentences that are flagged")
        found = shares(split)
        for supported in (False, True):
            for (is_supported, done), (hits, count) in sorted(found.items()):
                if is_supported == supported:
                    print(
                        f"  {'supported' if supported else 'unsupported':<12} {done:<16} {hits:>5} of {count:>5}  {hits / count:7.1%}"
                    )
            mine = [one for key, one in found.items() if key[0] == supported]
            hits, count = sum(one[0] for one in mine), sum(one[1] for one in mine)
            print(
                f"  {'supported' if supported else 'unsupported':<12} {'all':<16} {hits:>5} of {count:>5}  {hits / count:7.1%}"
            )
    if arguments.misses:
        for pair in pairs("dev"):
            if flagged(pair) == pair.supported:
                print(pair.done, "|", pair.sentence, judge(pair.sentence, [pair.context]))


if __name__ == "__main__":
    main()
