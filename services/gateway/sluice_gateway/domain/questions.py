"""Whether two questions ask for the same: what must agree besides their embeddings before one gets the other's answer.

Embeddings do not tell "from Paris to Lyon" from "from Lyon to Paris" (all-MiniLM-L6-v2: cosine 0.998), "over $50" from "under
$50" (0.984) or "eat" from "not eat" (0.954). So every word counts, with its order, except what `phrases` says is
neutral or the same. English only: a question in another language is not read, and is answered by equal questions alone.
"""

import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from sluice_gateway.domain.phrases import (
    ABOUT_WORDS,
    DETERMINERS,
    ENDINGS,
    LIGHT,
    NAMES_TOO,
    NEUTRAL,
    PLAIN,
    SAME,
    SHORT,
    TURNS,
)

MOST_CHARS = 400
_FEWEST_PLAIN, _FEWEST_OF = 2, 3
_QUOTED = re.compile(r'"[^"]*"|(?<!\w)\'[^\']*\'(?!\w)')
_END = re.compile(r"(?<=\w)(?:\.|\?|(?<=[^\W\d])!)+(?=\s+[A-Z]|\s*$)|(?<=s)'(?=\s)")
_TOKEN = re.compile(r"[^\W_](?:[\w.+#/@:\\-]*[\w+#])?|--?\w[\w-]*|[^\s\w]|_")
_MARKS = str.maketrans({"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u00a0": " "})
_VOWEL = re.compile(r"[aeiouy]")
_HISSES = re.compile(r"(?:x|ch|sh|ss|zz)es$")
_SHORTEST_STEM = 3


class Word(NamedTuple):
    """A word that counts: in its plain form, after which light preposition, and whether it begins a noun phrase."""

    text: str
    after: str = ""
    begins: bool = False


class Question(NamedTuple):
    """A question as it is compared: `name` is equal for those that are made of the same words."""

    text: str
    name: str
    words: tuple[Word, ...]


def read(text: str) -> Question | None:
    """Return a question as it is compared; None for what is not compared: long, of several lines, or not English."""
    text = " ".join(text.translate(_MARKS).strip(" ").split(" "))
    if not text or len(text) > MOST_CHARS or any(mark in text for mark in "\n\r\t`") or text.count('"') % 2:
        return None
    quotes: list[str] = []

    def kept(match: re.Match[str]) -> str:
        quotes.append(match[0])
        return f" quoted{len(quotes) - 1}quoted "

    bare = _written_out(_QUOTED.sub(kept, text))
    if not _is_english(bare.split(" ")):
        return None
    literal = not ABOUT_WORDS.isdisjoint(re.findall(r"\w+", bare))
    for turn in TURNS:
        said, turned = turn.pattern.subn(turn.instead, bare)
        if turned:
            bare = " ".join(said.split())
    for place in range(len(quotes)):
        bare = bare.replace(f"quoted{place}quoted", f"\0{place}\0")
    words = tuple(_words(bare, quotes, literal=literal))
    counted = Counter(word.text for word in words if word.text)
    return Question(text, "\n".join(sorted(counted.elements())), words)


def same(one: Question, other: Question) -> bool:
    """Tell whether two questions of one name have their words in the same order, a noun and its compound set equal."""
    if one.name != other.name:
        return False
    first, second = _in_order(one), _in_order(other)
    return _alike(first, second) or _compound(first, second) or _compound(second, first)


def _is_english(words: list[str]) -> bool:
    known = sum(word in PLAIN for word in words)
    return known >= _FEWEST_PLAIN or known * _FEWEST_OF >= len(words)


def _written_out(text: str) -> str:
    # Short forms are written out, and case goes, except where it makes another word: US and us, May and may.
    shouted = text.isupper()
    words: list[str] = []
    for place, raw in enumerate(_END.sub("", text).split()):
        word = raw.lower()
        if place and not shouted and raw[:1].isupper() and raw != "I" and _is_known(word):
            words.append(raw)
            continue
        words += SHORT[word].split() if word in SHORT else _parted(word)
    return " ".join(words)


def _is_known(word: str) -> bool:
    return word in NEUTRAL or word in SAME or word in DETERMINERS or word in NAMES_TOO


def _parted(word: str) -> Iterator[str]:
    for ending, meaning in ENDINGS:
        if word.endswith(ending) and len(word) > len(ending):
            yield word.removesuffix(ending)
            yield meaning
            return
    yield word


def _words(bare: str, quotes: list[str], *, literal: bool) -> Iterator[Word]:
    after, begins = "", False
    for match in re.finditer(r"\0(\d+)\0|" + _TOKEN.pattern, bare):
        token = match[0]
        if match[1] is not None:
            yield Word(quotes[int(match[1])], after, begins)
            after, begins = "", False
            continue
        begins = begins or token in DETERMINERS
        if token in NEUTRAL:
            continue
        if token in LIGHT:
            if after:
                yield Word(after)
            after = token
            continue
        yield Word(token if literal else _plain(token), after, begins)
        after, begins = "", token in DETERMINERS
    if after:
        yield Word(after)


def _plain(token: str) -> str:
    token = SAME.get(token, token)
    if not (token.isascii() and token.isalpha() and token.islower()):
        return token
    stem = token
    if token.endswith("ies") and len(token) > 4:
        stem = token[:-3] + "y"
    elif _HISSES.search(token):
        stem = token[:-2]
    elif token.endswith("s") and not token.endswith(("ss", "us", "is")) and len(token) > _SHORTEST_STEM:
        stem = token[:-1]
    elif token.endswith("ing") and len(token) - 3 >= _SHORTEST_STEM and _VOWEL.search(token[:-3]):
        stem = token[:-3]
        if stem[-1] == stem[-2] and stem[-1] not in "lsz":
            stem = stem[:-1]
    stem = SAME.get(stem, stem)
    return stem[:-1] if stem.endswith("e") and len(stem) > _SHORTEST_STEM else stem


def _in_order(question: Question) -> list[Word]:
    # "is" stands where the form of the sentence wants it.
    return [word for word in question.words if word.text != "be"]


def _alike(first: list[Word], second: list[Word]) -> bool:
    return [word[:2] for word in first] == [word[:2] for word in second]


def _compound(longer: list[Word], shorter: list[Word]) -> bool:
    # "the size of files" and "the file size": what stands after the preposition moves in front of the noun.
    for place, word in enumerate(longer):
        noun = longer[place - 1] if place else None
        if noun is None or not word.after or noun.after or not _in_phrase(longer, place - 1):
            continue
        moved = [*longer[: place - 1], Word(word.text), noun, *longer[place + 1 :]]
        if _alike(moved, shorter):
            return True
    return False


def _in_phrase(words: list[Word], place: int) -> bool:
    while place >= 0 and not words[place].after:
        if words[place].begins:
            return True
        place -= 1
    return False
