"""A follow-up as a question that stands alone (F146): what it points back to is taken over from the conversation.

Rules over small words, in the languages of `phrases`; in others a follow-up is put behind the question before it.
"""

from collections.abc import Sequence
from typing import NamedTuple

from sluice.contracts.questions import Turn
from sluice_retrieval.domain.questions.phrases import Phrases, phrases_of
from sluice_retrieval.domain.words import WORD

_SHORT = 6
_READ_BACK = 4
_MOST_CHARS = 600
_ENOUGH_CONTENT = 2
_MOST_FOCUS_WORDS = 12
_IDLE_IT = frozenset(
    {"possible", "allowed", "necessary", "safe", "ok", "okay", "true", "worth", "take", "takes", "legal"}
)
_POINTED_FROM = frozenset({"which", "the"})


class Said(NamedTuple):
    """A word with its place in the text, lower case for comparison."""

    text: str
    start: int
    end: int
    low: str


class Focus(NamedTuple):
    """What a question is about: a stretch of it."""

    start: int
    end: int
    words: int


def stand_alone(question: str, earlier: Sequence[Turn]) -> str | None:
    """Return a question that can be understood by itself; None if this one can, or nothing was said before.

    `earlier` is the conversation before it, oldest first. A question that leans on another follow-up takes over what that
    one took over.
    """
    asked = [turn for turn in earlier if turn.role == "user" and turn.content.strip()]
    phrases = phrases_of(question) or (phrases_of(asked[-1].content) if asked else None)
    if not asked or not leans_back(question, phrases):
        return None
    before = " ".join(asked[-1].content.split())[-_MOST_CHARS:]
    if len(asked) > 1 and len(asked) <= _READ_BACK:
        last = max(at for at, turn in enumerate(earlier) if turn is asked[-1])
        before = stand_alone(before, earlier[:last]) or before
    elif len(asked) > _READ_BACK:
        return stand_alone(question, _latest(earlier, _READ_BACK))
    if phrases is None:
        return f"{before} {question}"
    answer = next((turn.content for turn in reversed(earlier) if turn.role == "assistant"), "")
    return _resolved(question, before, answer, phrases)[-2 * _MOST_CHARS :]


def leans_back(question: str, phrases: Phrases | None) -> bool:
    """Tell whether a question cannot be understood by itself: something in it points back, or it is a mere fragment."""
    said = said_of(question)
    if phrases is None:
        return len(said) < _SHORT
    if _lead(said, phrases) or pointing(said, phrases) is not None:
        return True
    if len(said) >= _SHORT:
        return False
    whole = said and (said[0].low in phrases.sets["asks"] or said[0].low in phrases.sets["auxiliaries"])
    return not whole or sum(not is_small(one, phrases) for one in said) < _ENOUGH_CONTENT


def is_small(one: Said, phrases: Phrases) -> bool:
    """Tell whether a word has no meaning of its own; a capital within a sentence ("Line A") is a name."""
    return one.low in phrases.function and not (
        one.start > 0 and len(one.text) == 1 and one.text.isupper() and one.low != "i"
    )


def said_of(text: str) -> list[Said]:
    """Return the words of a text."""
    return [Said(m.group(), m.start(), m.end(), m.group().lower().replace("’", "'")) for m in WORD.finditer(text)]


def pointing(said: Sequence[Said], phrases: Phrases) -> int | None:
    """Return which word points back to something said before; None if none does."""
    named = phrases.sets
    for at, one in enumerate(said):
        after = said[at + 1].low if at + 1 < len(said) else ""
        before = said[at - 1].low if at else ""
        if one.low in named["people"] or one.low in named["owners"]:
            return at
        if one.low in named["pronouns"] and not _is_idle(said, at) and not _is_article(one.low, after, phrases):
            return at
        if one.low in named["pointers"] and _points(one.low, before, after, phrases):
            return at
        if one.low in ("one", "ones") and before in _POINTED_FROM:
            return at
    return None


def _is_idle(said: Sequence[Said], at: int) -> bool:
    # "Is it possible to …" and "how long does it take to …" speak of nothing that was said.
    later = [one.low for one in said[at + 1 : at + 4]]
    return (
        said[at].low == "it" and any(one in _IDLE_IT for one in later) and "to" in [one.low for one in said[at + 1 :]]
    )


def _is_article(word: str, after: str, phrases: Phrases) -> bool:
    # "la", "les", "los": an article where a noun follows.
    return word in phrases.sets["articles"] and bool(after) and after not in phrases.function


def _points(word: str, before: str, after: str, phrases: Phrases) -> bool:
    if word in ("there", "there's"):
        # "is there a …" is no place
        return not (before in phrases.sets["auxiliaries"] or after in phrases.sets["auxiliaries"]) or not after
    if word in phrases.sets["articles"] and after not in phrases.function and after:
        return False
    # "the boat that leaves": after a noun it begins a clause
    return not before or before in phrases.function or not after


def _lead(said: Sequence[Said], phrases: Phrases) -> int:
    """Return how many words at the beginning only say that this is a follow-up."""
    low = tuple(one.low for one in said)
    return next((len(lead) for lead in phrases.leading if low[: len(lead)] == lead), 0)


def _resolved(question: str, before: str, answer: str, phrases: Phrases) -> str:
    said = said_of(question)
    led = _lead(said, phrases)
    rest = question[said[led].start :] if led < len(said) else ""
    said = said_of(rest)
    at = pointing(said, phrases)
    focus = focus_of(before, phrases)
    about = before[focus.start : focus.end] if focus is not None else ""
    if at is not None:
        if said[at].low in phrases.sets["people"] or not about:
            about = _name_in(answer, phrases) or about
        return _put_in(rest, said, at, about or before.rstrip("?!. "), phrases)
    if all(is_small(one, phrases) for one in said):
        return f"{before.rstrip('?!. ')}: {rest or question}"
    if said[0].low in phrases.sets["asks"] or said[0].low in phrases.sets["auxiliaries"]:
        return f"{rest.rstrip('?!. ')} ({about or before.rstrip('?!. ')})?"
    return _continued(rest, said, before, phrases)


def _put_in(rest: str, said: Sequence[Said], at: int, about: str, phrases: Phrases) -> str:
    one = said[at]
    after = said[at + 1] if at + 1 < len(said) else None
    if one.low in phrases.sets["owners"] or (
        one.low in phrases.sets["pointers"] and after is not None and after.low not in phrases.function
    ):
        # "its price" and "this ticket": the noun stays, and is said of what
        return f"{rest.rstrip('?!. ')} ({about})?"
    return f"{rest[: one.start]}{about}{rest[one.end :]}"


def _continued(rest: str, said: Sequence[Said], before: str, phrases: Phrases) -> str:
    """Return the question before with a fragment in the place of what it stands for ("And on Sundays?", "And Line B?")."""
    first = said[0].low
    stem = before.rstrip("?!. ")
    old, new = _name_in(stem, phrases), _name_in(f"x {rest}", phrases)
    if old and new:
        return f"{stem.replace(old, new)}?"
    if first in phrases.sets["prepositions"]:
        words = said_of(stem)
        starts = [at for at, one in enumerate(words) if one.low == first]
        if starts:
            until = next(
                (at for at in range(starts[-1] + 1, len(words)) if words[at].low in phrases.sets["prepositions"]), None
            )
            tail = "" if until is None else " " + stem[words[until].start :]
            return f"{stem[: words[starts[-1]].start]}{rest.rstrip('?!. ')}{tail}?"
    return f"{stem} {rest.rstrip('?!. ')}?"


def focus_of(question: str, phrases: Phrases) -> Focus | None:
    """Return what a question is about: the noun phrase with most words, with what hangs on it by prepositions."""
    said = said_of(question)
    best: tuple[float, Focus] | None = None
    at = 0
    while at < len(said):
        if is_small(said[at], phrases):
            at += 1
            continue
        begin, count = at, 0
        last = at
        while at < len(said) and count < _MOST_FOCUS_WORDS:
            if not is_small(said[at], phrases):
                last, count, at = at, count + 1, at + 1
                continue
            if said[at].low in phrases.sets["prepositions"] and at + 1 < len(said):
                step = at + 1
                if said[step].low in phrases.sets["articles"] and step + 1 < len(said):
                    step += 1
                if not is_small(said[step], phrases):
                    at = step
                    continue
            break
        before = said[begin - 1].low if begin else ""
        led = before in phrases.sets["articles"]
        weight = count + (1.5 if led else 0.0) - (1.5 if before in phrases.sets["subjects"] or before == "to" else 0.0)
        if best is None or weight > best[0]:
            start = said[begin - 1].start if led else said[begin].start
            best = (weight, Focus(start, said[last].end, count))
        at = max(at, last + 1)
    return None if best is None else best[1]


def _name_in(answer: str, phrases: Phrases) -> str:
    """Return the first name in a text: capitalised words that do not begin a sentence."""
    said = said_of(answer)
    for at, one in enumerate(said):
        opens = at == 0 or answer[said[at - 1].end : one.start].strip() in (".", "!", "?", ":")
        if opens or not one.text[0].isupper() or is_small(one, phrases) or one.low == "i":
            continue
        end = at
        while (
            end + 1 < len(said)
            and said[end + 1].text[0].isupper()
            and answer[said[end].end : said[end + 1].start] == " "
        ):
            end += 1
        return answer[one.start : said[end].end]
    return ""


def _latest(earlier: Sequence[Turn], users: int) -> Sequence[Turn]:
    """Return the end of a conversation that has so many messages of the user."""
    seen = 0
    for at in range(len(earlier) - 1, -1, -1):
        seen += earlier[at].role == "user" and bool(earlier[at].content.strip())
        if seen == users:
            return earlier[at:]
    return earlier
