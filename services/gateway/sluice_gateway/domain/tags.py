"""Tags: what requests are counted under besides their key, as callers and administrators name it."""

import re
from collections.abc import Sequence

from sluice.contracts.gateway import TAG_PATTERN

MOST_TAGS = 16
_TAG = re.compile(TAG_PATTERN.removesuffix("$") + r"\Z")


def tags_in(header: bytes) -> list[str]:
    """Return what a header `x-sluice-tags` names: texts in UTF-8 between commas.

    Raises:
        ValueError: it is no UTF-8; the sentence lacks its subject.
    """
    try:
        named = header.decode()
    except UnicodeDecodeError:
        raise ValueError("must be UTF-8.") from None
    return [tag for one in named.split(",") if (tag := one.strip(" \t"))]


def checked_tags(tags: Sequence[object]) -> tuple[str, ...]:
    """Return what a request names as its tags, each once, in order.

    Raises:
        ValueError: one cannot be a tag, or there are more than 16; the sentence lacks its subject.
    """
    for tag in tags:
        if type(tag) is not str or _TAG.match(tag) is None:
            raise ValueError(
                "must hold texts of 1 to 64 characters without commas, control characters and blanks at the ends."
            )
    found = tuple(dict.fromkeys(str(tag) for tag in tags))
    if len(found) > MOST_TAGS:
        raise ValueError(f"may hold {MOST_TAGS} tags; there are {len(found)}, counted with those of the body.")
    return found


def merged(*lists: tuple[str, ...]) -> tuple[str, ...]:
    """Return the tags of all lists, each once."""
    return tuple(dict.fromkeys(tag for tags in lists for tag in tags))
