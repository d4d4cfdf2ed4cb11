"""The parts of a question that asks several things (decomposition), and the question as a statement (reformulation)."""

import re
from collections.abc import Iterator, Sequence

from sluice.contracts.questions import Turn
from sluice_retrieval.domain.questions.phrases import Phrases, phrases_of
from sluice_retrieval.domain.questions.standalone import Said, is_small, pointing, said_of, stand_alone

MOST_PARTS = 4
_BREAK = re.compile(r"(?<=[?;])\s+|\n+")
_COMPARED = re.compile(
    r"\b(?:difference|differences|compare|comparison|unterschied|unterschiede|différence|diferencia)\b"
    r"(?:\s+(?:between|of|zwischen|entre))?\s+(?P<one>.+?)\s+(?:and|with|to|und|et|y|from)\s+(?P<other>.+?)\s*[?.!]*$",
    re.IGNORECASE,
)
_VERSUS = re.compile(r"^(?P<one>.+?)\s+(?:versus|vs\.?)\s+(?P<other>.+?)\s*[?.!]*$", re.IGNORECASE)


def parts_of(question: str) -> tuple[str, ...]:
    """Return the questions that one question is made of, each standing alone; none if it asks one thing only."""
    text = " ".join(question.split(" ")).strip()
    phrases = phrases_of(text)
    if phrases is None:
        return ()
    for pattern in (_COMPARED, _VERSUS):
        if (match := pattern.search(text)) is not None:
            return match["one"], match["other"]
    found = [part for sentence in _BREAK.split(text) for part in _parted(sentence.strip(" ;"), phrases)]
    found = [part for part in found if _has_content(part, phrases)]
    if len(found) < 2:
        return ()
    alone: list[str] = []
    for part in found[:MOST_PARTS]:
        before = [Turn(role="user", content=one) for one in alone]
        points = pointing(said_of(part), phrases) is not None
        alone.append((stand_alone(part, before) if points else None) or part)
    return tuple(dict.fromkeys(alone))


def as_statement(question: str) -> str | None:
    """Return a question without what only makes it a question ("Could you tell me how …"); None if that changes nothing."""
    phrases = phrases_of(question)
    if phrases is None:
        return None
    said = said_of(question)
    at = _polite(said, phrases)
    while at < len(said) and (said[at].low in phrases.sets["asks"] or said[at].low in phrases.sets["auxiliaries"]):
        at += 1
    while at < len(said) and said[at].low in phrases.sets["subjects"]:
        at += 1
    if at == 0 or at >= len(said):
        return None
    return question[said[at].start :].rstrip("?!. ") or None


def _parted(sentence: str, phrases: Phrases) -> Iterator[str]:
    said = said_of(sentence)
    begin = 0
    for at in range(1, len(said) - 1):
        if said[at].low in phrases.sets["joins"] and _asks_anew(said[at + 1 :], phrases) and at > begin + 1:
            yield sentence[said[begin].start : said[at].start].rstrip(" ,")
            begin = at + 1
    rest = sentence[said[begin].start :] if said else ""
    yield from _twice(rest, phrases) if begin == 0 else (rest,)


def _asks_anew(said: Sequence[Said], phrases: Phrases) -> bool:
    """Tell whether words begin a question of their own: "and how much …", "and can I …"."""
    first = said[0].low
    if first in phrases.sets["asks"]:
        return len(said) > 1
    if first not in phrases.sets["auxiliaries"] or len(said) < 3:
        return False
    second = said[1].low
    return second in phrases.function


def _twice(sentence: str, phrases: Phrases) -> Iterator[str]:
    """Part "the rules for dogs and for bicycles", where a preposition stands twice."""
    said = said_of(sentence)
    for at in range(1, len(said) - 2):
        if said[at].low not in phrases.sets["joins"] or said[at + 1].low not in phrases.sets["prepositions"]:
            continue
        same = [place for place in range(at) if said[place].low == said[at + 1].low]
        if same:
            stem = sentence[: said[same[-1]].start]
            yield stem + sentence[said[same[-1]].start : said[at].start].rstrip(" ,")
            yield stem + sentence[said[at + 1].start :]
            return
    yield sentence


def _has_content(part: str, phrases: Phrases) -> bool:
    return not all(is_small(one, phrases) for one in said_of(part))


def _polite(said: Sequence[Said], phrases: Phrases) -> int:
    low, at = tuple(one.low for one in said), 0
    polite = sorted((tuple(one.split("_")) for one in phrases.polite.split()), key=len, reverse=True)
    while True:
        step = next((len(one) for one in polite if low[at : at + len(one)] == one), 0)
        if step == 0:
            return at
        at += step
