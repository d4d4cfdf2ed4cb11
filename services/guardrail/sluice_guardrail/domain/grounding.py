"""Says for each sentence of an answer whether the context that it was given supports it (handbook F042, F082, F270).

Words, numbers, names and polarity are compared with the best passage of the context. Words are weighed by how rare they are in it, as
in BM25 (Robertson and Zaragoza, The Probabilistic Relevance Framework, 2009, equation 3.1). A number or a name that the context
has not, and a denial of what it says, contradict: then most of the words may agree. What is true and not in the context counts as
unsupported, and a paraphrase without a common word does too.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from sluice.contracts.guard import HallucinationCause
from sluice_guardrail.domain.causes import cause_of
from sluice_guardrail.domain.findings import Finding

UnsupportedKind = Literal["unsupported", "number", "name", "negation", "opposite"]

MAX_SENTENCES = 500
MAX_CONTEXT = 400_000
_PASSAGE = 3  # sentences of the context that are read together
_FEWEST_WORDS = 3
_ALIKE = 0.55  # what of a sentence must stand in a passage before both are compared for polarity
_ALIKE_DENIED = 0.3
_REACH = 3  # words of meaning that a denial reaches
_CAPS: dict[UnsupportedKind, float] = {
    "unsupported": 1.0,
    "number": 0.2,
    "name": 0.3,
    "negation": 0.25,
    "opposite": 0.3,
}
_REASONS: dict[UnsupportedKind, str] = {
    "unsupported": "most of its words stand nowhere together in the context",
    "number": "the context has not this number",
    "name": "the context has not this name",
    "negation": "the context says the opposite: one of both denies it",
    "opposite": "the context says the opposite word",
}

_SENTENCE = re.compile(r"[^\n]+")
_BREAK = re.compile(r"(?<=[.!?。！？])[\"')\]*_]{0,3}\s+(?=[\"'(\[*_]{0,3}[^\W_a-z])|[。！？]")
_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|etc|vs|cf|approx|no|dr|mr|mrs|ms|prof|st|fig|inc|ltd|co)|\b[A-Z])\.$", re.IGNORECASE
)
_CITATION = re.compile(r"\[\d{1,4}\]|【[^】]{1,40}】")
_TOKEN = re.compile(r"\d+(?:[.,:]\d+)*%?|[^\W\d_]+(?:['’][^\W\d_]+)?", re.UNICODE)
_NUMBER = re.compile(r"\d")
_META = re.compile(
    r"^\W*(?:i (?:do not|don't|cannot|can't|could not) |i'm (?:not sure|sorry)|sorry\b|unfortunately, (?:i|the (?:context|documents?))|the (?:context|documents?|sources?|text) (?:does|do) not"
    r"|(?:here (?:is|are)|sure|certainly|of course|let me|feel free|if you (?:have|need)|hope this|please (?:let|note)|in summary:?$|is there anything|would you))",
    re.IGNORECASE,
)
_STOP_WORDS = (
    "a an the and or but if then else of to in on at by for with from as is are was were be been being am it its this that these those he she they them his her their there here we our you your i my me us which who whom whose what when where why how"
    " do does did done has have had having can could may might must shall should will would also just so than too very such into over under about between through during after before again further once both each few more most other some any all own same only"
    " up down out off while because until against per via etc one ones s t according context documents document source sources states stated says said mentions mentioned provided text information based"
)
_NEGATION_WORDS = "not no never none neither nor cannot without nothing nobody nowhere hardly isn't aren't wasn't weren't don't doesn't didn't won't wouldn't can't couldn't shouldn't mustn't hasn't haven't hadn't"
_NUMBER_WORDS = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty"
_STOP = frozenset(_STOP_WORDS.split())
_NEGATIONS = frozenset(_NEGATION_WORDS.split())
_OPPOSITES = (
    "increase decrease", "raise lower", "rise fall", "before after", "more less", "above below", "over under", "enable disable", "allow deny", "allow forbid", "allow refuse",
    "minimum maximum", "open close", "open closed", "first last", "start stop", "start end", "begin end", "faster slower", "higher lower", "larger smaller", "longer shorter",
    "earlier later", "accept reject", "accept refuse", "include exclude", "success failure", "succeed fail", "pass fail", "true false", "public private", "always never", "with without",
    "synchronous asynchronous", "internal external", "left right", "north south", "east west", "hot cold", "old new", "add remove", "encrypt decrypt", "import export",
    "upload download", "win lose", "buy sell", "required optional", "all none", "least most", "at-least at-most",
)  # fmt: skip
_TEN_WORDS = "thirty forty fifty sixty seventy eighty ninety"
_WORDS_OF_NUMBERS = {
    **{word: str(number) for number, word in enumerate(_NUMBER_WORDS.split()) if number > 1},
    **{word: str(number * 10) for number, word in enumerate(_TEN_WORDS.split(), 3)},
    "hundred": "100",
    "thousand": "1000",
}
_SUFFIXES = (
    "ically",
    "ation",
    "ingly",
    "ments",
    "ness",
    "ings",
    "ment",
    "ally",
    "ies",
    "ing",
    "ed",
    "es",
    "ly",
    "er",
    "s",
)


def _opposites() -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for pair in _OPPOSITES:
        one, other = pair.split()
        found.setdefault(one, set()).add(other)
        found.setdefault(other, set()).add(one)
    return {word: frozenset(others) for word, others in found.items()}


_OPPOSITE_OF = _opposites()


@dataclass(frozen=True, slots=True)
class Judged:
    """One sentence of an answer: its span, how far the context supports it (0 to 1), and what is wrong with it and whence that may come, if anything is."""

    start: int
    end: int
    support: float
    kind: UnsupportedKind | None
    reason: str
    cause: HallucinationCause | None


@dataclass(frozen=True)
class _Said:
    """What a sentence says: stems of its content words, its words as they stand, numbers, names, and the stems that each denial reaches."""

    stems: Counter[str]
    words: frozenset[str]
    numbers: frozenset[str]
    names: frozenset[str]
    denied: tuple[frozenset[str], ...]


def sentences(text: str) -> list[tuple[int, int]]:
    """Return the spans of the sentences of a text; lines end sentences too."""
    found: list[tuple[int, int]] = []
    for line in _SENTENCE.finditer(text):
        start = line.start()
        for gap in _BREAK.finditer(text, line.start(), line.end()):
            if _ABBREVIATION.search(text, max(start, gap.start() - 8), gap.start()) is None:
                found.append((start, gap.start()))
                start = gap.end()
        found.append((start, line.end()))
    return [span for span in found if text[span[0] : span[1]].strip()]


def judge(answer: str, context: Sequence[str]) -> list[Judged]:
    """Return the judgement of each sentence that states something; short ones, questions and talk about the answer state nothing."""
    evidence = _Evidence(context)
    return list(_judged(answer, evidence))


def find_unsupported(answer: str, context: Sequence[str]) -> Iterator[Finding]:
    """Yield each sentence that states something as a finding, whose score says how likely it is that nothing supports it."""
    for one in judge(answer, context):
        kind = one.kind or "supported"
        yield Finding(
            "grounding", "groundedness", kind, one.start, one.end, round(1 - one.support, 4), one.reason, one.cause
        )


def _judged(answer: str, evidence: "_Evidence") -> Iterator[Judged]:
    for start, end in sentences(answer)[:MAX_SENTENCES]:
        sentence = answer[start:end]
        if sentence.rstrip().endswith("?") or _META.match(sentence) is not None:
            continue
        said = _said(_CITATION.sub(" ", sentence))
        if sum(said.stems.values()) + len(said.numbers) < _FEWEST_WORDS:
            continue
        support, kind, covered = evidence.support(said)
        yield Judged(start, end, support, kind, "" if kind is None else _REASONS[kind], cause_of(kind, covered))


class _Evidence:
    """The sentences of the context, and how rare each word is among them."""

    def __init__(self, context: Sequence[str]) -> None:
        self._said: list[_Said] = []
        left = MAX_CONTEXT
        for text in context:
            shown, left = text[:left], max(0, left - len(text))
            self._said += [_said(shown[start:end]) for start, end in sentences(shown)]

    @cached_property
    def _frequencies(self) -> Counter[str]:
        return Counter(stem for said in self._said for stem in said.stems)

    @cached_property
    def _places(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for place, said in enumerate(self._said):
            for stem in said.stems:
                found.setdefault(stem, []).append(place)
        return found

    @cached_property
    def _all(self) -> _Said:
        return _Said(
            Counter(self._frequencies),
            frozenset().union(*(said.words for said in self._said)),
            frozenset().union(*(said.numbers for said in self._said)),
            frozenset(),
            (),
        )

    def support(self, said: _Said) -> tuple[float, UnsupportedKind | None, float]:
        """Return how far the best passage supports what is said, what contradicts it, and what share of its words stands there."""
        weights = {stem: self._weight(stem) * count for stem, count in said.stems.items()}
        total = sum(weights.values())
        best = self._best(weights)
        if total == 0.0:
            covered = 1.0
        elif best is None:
            covered = 0.0
        else:
            passage = self._said[best : best + _PASSAGE]
            covered = (
                sum(weight for stem, weight in weights.items() if any(stem in one.stems for one in passage)) / total
            )
        kind = self._contradiction(said, weights, best, covered)
        support = min(covered, _CAPS[kind]) if kind is not None else covered
        if kind is None and support < 0.5:
            kind = "unsupported"
        return round(support, 4), kind, covered

    def _weight(self, stem: str) -> float:
        count, of = self._frequencies[stem], len(self._said)
        return math.log(1 + (of - count + 0.5) / (count + 0.5))

    def _best(self, weights: dict[str, float]) -> int | None:
        scores: Counter[int] = Counter()
        for stem, weight in weights.items():
            for start in {max(0, place - back) for place in self._places.get(stem, ()) for back in range(_PASSAGE)}:
                scores[start] += weight  # type: ignore[assignment] # a counter of weights
        return max(scores, key=lambda start: (scores[start], -start)) if scores else None

    def _contradiction(
        self, said: _Said, weights: dict[str, float], best: int | None, covered: float
    ) -> UnsupportedKind | None:
        if said.numbers - self._numbers_near(best):
            return "number"
        if any(name not in self._all.words for name in said.names):
            return "name"
        if best is None or covered < _ALIKE:
            return None
        passage = self._said[best : best + _PASSAGE]
        if _denies_what_is_said(said, passage) or self._says_what_is_denied(said, weights, passage):
            return "negation"
        nearest = self._nearest(weights, passage)
        if nearest is None:
            return None
        own, other = said.words - nearest.words, nearest.words - said.words
        return "opposite" if any(_OPPOSITE_OF.get(word, frozenset()) & other for word in own) else None

    def _says_what_is_denied(self, said: _Said, weights: dict[str, float], passage: Sequence[_Said]) -> bool:
        total = sum(weights.values()) or 1.0
        for one in passage:
            share = sum(weight for stem, weight in weights.items() if stem in one.stems) / total
            for denied in one.denied:
                alike = share >= _ALIKE_DENIED and len(denied) > 1 and all(stem in said.stems for stem in denied)
                if alike and not any(denied & own for own in said.denied):
                    return True
        return False

    def _numbers_near(self, best: int | None) -> frozenset[str]:
        if best is None:
            return frozenset()
        return frozenset().union(*(one.numbers for one in self._said[max(0, best - 1) : best + _PASSAGE + 1]))

    def _nearest(self, weights: dict[str, float], passage: Sequence[_Said]) -> _Said | None:
        total = sum(weights.values()) or 1.0
        shares = [sum(weight for stem, weight in weights.items() if stem in one.stems) / total for one in passage]
        top = max(range(len(passage)), key=shares.__getitem__)
        return passage[top] if shares[top] >= _ALIKE else None


def _denies_what_is_said(said: _Said, passage: Sequence[_Said]) -> bool:
    denied = [reach for one in passage for reach in one.denied]
    for own in said.denied:
        stands = sum(any(stem in one.stems for one in passage) for stem in own)
        if own and stands * 2 >= len(own) and not any(own & reach for reach in denied):
            return True
    return False


def _said(sentence: str) -> _Said:
    stems: Counter[str] = Counter()
    words: set[str] = set()
    numbers: set[str] = set()
    names: set[str] = set()
    reaches: list[list[str]] = []
    befores: list[list[str]] = []
    for place, token in enumerate(_TOKEN.finditer(sentence)):
        word = token.group().replace("’", "'")
        low = word.lower()
        if _NUMBER.match(word) is not None:
            numbers.add(_plain(word))
            continue
        if low in _WORDS_OF_NUMBERS:
            numbers.add(_WORDS_OF_NUMBERS[low])
            continue
        words.add(low)
        if low in _NEGATIONS:
            reaches.append([])
            befores.append(list(stems)[-2:])
        elif low not in _STOP and len(low) > 1:
            stem = _stem(low)
            stems[stem] += 1
            if reaches and len(reaches[-1]) < _REACH:
                reaches[-1].append(stem)
            if place > 0 and word[0].isupper() and len(word) > 2:
                names.add(low)
    return _Said(
        stems,
        frozenset(words | {_stem(word) for word in words}),
        frozenset(numbers),
        frozenset(names),
        tuple(map(_reach, reaches, befores)),
    )


def _reach(after: Sequence[str], before: Sequence[str]) -> frozenset[str]:
    # "Keys do not expire" denies the keys' expiring.
    return frozenset(after if len(after) > 1 else (*before, *after))


def _plain(number: str) -> str:
    number = number.rstrip("%")
    if re.fullmatch(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?", number):
        number = number.replace(",", "")
    return number.rstrip("0").rstrip(".") if "." in number else number


def _stem(word: str) -> str:
    word = word.removesuffix("'s")
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            return word[: -len(suffix)].rstrip("e")
    return word.rstrip("e") if len(word) > 3 else word
