"""Where sentences end."""

import re
from collections.abc import Iterator

_CANDIDATE = re.compile(
    r"""
      [.!?…]+["'”’)\]]*(?=\s)                      # a mark that ends a sentence, and closing quotes
    | [。！？]+[」』”]*                              # East Asian marks need no space after them
    | (?:\r?\n)+(?=[^\S\n]*(?:[-*+•]|\d{1,3}[.)])\s)  # the next item of a list
    | \n\s*\n                                       # a blank line
    """,
    re.VERBOSE,
)
_LAST_WORD = re.compile(r"(\S+)\Z")
_ABBREVIATION_LIST = (
    "e.g. i.e. etc. vs. cf. dr. mr. mrs. ms. prof. st. no. fig. eq. sec. ch. al. approx. inc. ltd. co. jr. sr. dept. est. "
    "vol. pp. p. ed. eds. resp. jan. feb. mar. apr. jun. jul. aug. sep. sept. oct. nov. dec."
)
_ABBREVIATIONS = frozenset(_ABBREVIATION_LIST.split())
_LONGEST_ABBREVIATION = 12


def sentence_starts(text: str, start: int, end: int) -> Iterator[int]:
    """Yield where the sentences of `text[start:end]` begin; the first is `start`.

    A full stop after a known abbreviation or an initial does not end a sentence, nor one before a small letter.
    """
    yield start
    for match in _CANDIDATE.finditer(text, start, end):
        if match.end() < end and not _goes_on(text, start, match):
            yield match.end()


def _goes_on(text: str, start: int, match: re.Match[str]) -> bool:
    if match.group() != ".":
        return False
    following = text[match.end() : match.end() + 8].lstrip()
    if following[:1].islower():
        return True
    last = _LAST_WORD.search(text, max(start, match.end() - _LONGEST_ABBREVIATION), match.end())
    word = last.group(1).lstrip("([\"'“‘").lower() if last else ""
    return word in _ABBREVIATIONS or (len(word) == 2 and word[0].isalpha())
