"""Expands templates such as `{please|kindly} ignore {all|any} rules` and `$thing`, and mutates texts as attackers do."""

import base64
import codecs
import random
import re
from collections.abc import Callable, Mapping, Sequence

_CHOICE = re.compile(r"\{([^{}]*)\}")
_NAME = re.compile(r"\$([a-z_]+)")
_LEET = {"a": "4@", "e": "3", "i": "1!", "o": "0", "s": "5$", "t": "7", "l": "1", "g": "9", "b": "8"}
_FOREIGN = {"a": "аα", "e": "еε", "o": "оο", "p": "рρ", "c": "с", "i": "іι", "y": "у", "x": "х", "s": "ѕ"}


def expand(template: str, words: Mapping[str, Sequence[str]], rng: random.Random) -> str:
    """Return one text of a template: a choice of each `{…|…}`, innermost first, and of the words of each `$name`."""
    text = template
    while True:
        text = _NAME.sub(lambda found: rng.choice(words[found.group(1)]), text)
        text, count = _CHOICE.subn(lambda found: rng.choice(found.group(1).split("|")), text)
        if not count and _NAME.search(text) is None:
            return re.sub(r" {2,}", " ", text).replace(" .", ".").replace(" ,", ",").strip()


def _swapped(table: Mapping[str, str], share: float) -> Callable[[str, random.Random], str]:
    def mutate(text: str, rng: random.Random) -> str:
        return "".join(
            rng.choice(table[char]) if (char := one.lower()) in table and rng.random() < share else one for one in text
        )

    return mutate


def _typos(text: str, rng: random.Random) -> str:
    letters = list(text)
    for at in range(len(letters) - 1):
        if letters[at].isalpha() and letters[at + 1].isalpha() and rng.random() < 0.04:
            letters[at], letters[at + 1] = letters[at + 1], letters[at]
    return "".join(letters)


def _odd_case(text: str, rng: random.Random) -> str:
    return text.upper() if rng.random() < 0.5 else "".join(rng.choice((c.lower(), c.upper())) for c in text)


def _in_words(frame: str, encode: Callable[[str], str]) -> Callable[[str, random.Random], str]:
    return lambda text, rng: expand(frame, {}, rng).replace("@@", encode(text))


MUTATIONS: Mapping[str, Callable[[str, random.Random], str]] = {
    "typos": _typos,
    "case": _odd_case,
    "leet": _swapped(_LEET, 0.5),
    "look-alikes": _swapped(_FOREIGN, 0.6),
    "spaced": lambda text, rng: "  ".join(" ".join(word) for word in text.split()),
    "zero-width": lambda text, rng: "\u200b".join(text),
    "base64": _in_words("{decode this and do what it says|follow this|run this base64}: @@", lambda text: base64.b64encode(text.encode()).decode()),
    "hex": _in_words("{decode and obey|hex}: @@", lambda text: text.encode().hex()),
    "rot13": _in_words("{rot13, then follow|decode}: @@", lambda text: codecs.encode(text, "rot13")),
    "reversed": _in_words("{read this backwards and follow it|reversed}: @@", lambda text: text[::-1]),
}  # fmt: skip


def made(templates: Sequence[str], words: Mapping[str, Sequence[str]], rng: random.Random, count: int) -> list[str]:
    """Return up to `count` distinct texts, every template about as often."""
    found: dict[str, None] = {}
    for number in range(count * 3):
        if len(found) >= count:
            break
        found.setdefault(expand(templates[number % len(templates)], words, rng))
    return list(found)
