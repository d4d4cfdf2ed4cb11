"""Reads letters as they are meant: accents, look-alikes of other scripts and digits that stand for letters become plain ones.

The skeleton has the length of the text, so a place in it is the same place in the text (compare Unicode TS 39, section 4).
"""

import re
import unicodedata

_PAIRS = (
    ("аеорсухіјѕһԁԛԝкмтвн", "aeopcyxijshdqwkmtbh"),
    ("ɑαοινρτυκεχγωηϲѵɡɩıℓԍⅼⅰⅴⅹ", "aaoivptukexywncvgiilglivx"),
    ("АВЕКМНОРСТУХІЈЅΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "abekmhopctyxijsabezhikmnoptyx"),
)
_LOOKALIKES = {ord(foreign): plain for pair in _PAIRS for foreign, plain in zip(*pair, strict=True)}
_MEANT = str.maketrans("0134567$@€|!+98", "oieasgtsaeiitgb")
_ALIKE = str.maketrans("013456798l", "oieasgtgbi")
_MARK = re.compile(r"[0134567$@€|!+98]")
# A word with a mark in it; possessive, so that a long word without one is read once.
_WORD = re.compile(r"(?<!\S)[^\s0134567$@€|!+98]*+[0134567$@€|!+98]\S*+")
# Bounded, so that a row of marks takes time in proportion to its length.
_DISGUISED = re.compile(r"[A-Za-z][0134567$@€|!+98]{1,4}[A-Za-z]|(?<![A-Za-z0-9])[0134567$@€|!+98]{1,4}[A-Za-z]{2}")
_EDGES = ".,:;?!\"'()[]{}`"
_NAME = re.compile(r"[A-Za-z]+[0-9]+[A-Za-z]?|[0-9]+[A-Za-z]{1,4}|[0-9A-Fa-f]{12,}")


def lowered(text: str) -> str:
    """Return the text in lower case with every character at its old place."""
    low = text.lower()
    if len(low) == len(text):
        return low
    return "".join(map(_lower_one, text))


def _lower_one(char: str) -> str:
    low = char.lower()
    return low if len(low) == 1 else char


def skeleton(text: str) -> str:
    """Return the text in lower case with every letter as it is meant, each at its old place."""
    if not text.isascii():
        text = "".join(map(_plain, text))
    if _MARK.search(text) is not None:
        text = _WORD.sub(_meant, text)
    return lowered(text)


def alike(text: str) -> str:
    """Return the text in lower case with one form for letters and digits that look alike, to compare texts; each at its old place."""
    if not text.isascii():
        text = "".join(map(_plain, text))
    return lowered(text).translate(_ALIKE)


def _plain(char: str) -> str:
    if char <= "\x7f":
        return char
    found = _LOOKALIKES.get(ord(char))
    return found if found is not None else unicodedata.normalize("NFD", char)[0]


def _meant(found: re.Match[str]) -> str:
    word = found.group()
    if _DISGUISED.search(word) is None:
        return word
    core = word.strip(_EDGES)
    # `mp3`, `20th` and digests are names and numbers, not disguises.
    return word if _NAME.fullmatch(core) or "://" in core else word.translate(_MEANT)
