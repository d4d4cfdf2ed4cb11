"""Letters moved along the alphabet (Caesar's cipher): which shifts a text may be written in, and what it says."""

import re
from collections import defaultdict
from string import ascii_lowercase, ascii_uppercase

LETTERS = len(ascii_lowercase)
_ROT13 = 13  # is always read
_LONG = 6  # letters
_ENOUGH = 3
_WORD = re.compile(r"(?<![a-z])[a-z]{3,12}(?![a-z])")
# What English texts, orders and prompts are made of.
_COMMON = re.findall(
    "[a-z]+",
    "the and for you are not all any can has but our one who how get out was his her its may use new"
    " each such make after before where using tell give help very just like over know take time year good could people these those because through between under while most many much same own"
    " that with this have from your will what about which when there their would other into more some only them then they been were than also must should always never"
    " please answer message user users assistant question questions following information context"
    " ignore disregard forget override bypass previous prior earlier above instruction instructions rules guidelines restrictions system prompt reveal print repeat show output hidden secret"
    " developer pretend without everything password",
)


_TABLES = [
    str.maketrans(
        ascii_lowercase + ascii_uppercase,
        ascii_lowercase[by:] + ascii_lowercase[:by] + ascii_uppercase[by:] + ascii_uppercase[:by],
    )
    for by in range(LETTERS)
]


def shifted(text: str, by: int) -> str:
    """Return a text with its letters moved by so many places."""
    return text.translate(_TABLES[by % LETTERS])


_IMAGES = {shifted(word, -by): (word, by) for word in _COMMON for by in range(1, LETTERS) if by != _ROT13}
_MOST = 3  # shifts of one text


def shifts_of(low: str) -> list[int]:
    """Return by how much the letters of a text in lower case are to be moved to be read, for at most three parts that are written so; none for a plain text.

    Two different words have to be there, of which one is long, or three.
    """
    found: dict[int, set[str]] = defaultdict(set)
    for image in _IMAGES.keys() & set(_WORD.findall(low)):
        word, by = _IMAGES[image]
        found[by].add(word)
    told = {by: sum(1 + (len(one) >= _LONG) for one in words) for by, words in found.items() if len(words) > 1}
    return sorted((by for by, weight in told.items() if weight >= _ENOUGH), key=told.__getitem__, reverse=True)[:_MOST]
