"""Images as documents: what is read of one, the text by which it is found, and how alike two look."""

from collections.abc import Collection, Mapping
from pathlib import PurePosixPath
from typing import Any, NamedTuple, Protocol

from sluice.contracts.enhanced import EvidenceKind
from sluice.contracts.searching import Comparison, Compound, SearchFilter
from sluice_retrieval.domain.documents import check_plain

MEDIA_TYPES = ("image/png", "image/jpeg", "image/webp", "image/gif")
CAPTION = "caption"
"""The name of the attribute, and of the form's part, that says what an image shows."""


class Picture(NamedTuple):
    """What was read of an image: its size as it is shown, the hash of its looks, a small WebP, text that was recognised in it.

    `view` is a WebP of at most 1,024 pixels, for a model to look at; `described` is what one said of it.
    """

    media_type: str
    width: int
    height: int
    hash: str
    thumbnail: bytes
    recognised: str
    view: bytes = b""
    described: str = ""


class PictureReader(Protocol):
    """Reads images."""

    async def picture(self, raw: bytes, *, captioned: bool) -> Picture:
        """Return what can be read of an image; one that is `captioned` needs no description.

        Raises:
            DocumentUnreadable: it is broken, of another format than its name says, or needs more time or memory than allowed.
            DocumentTooLarge: it has more pixels than allowed.
        """
        ...


def caption_in(attributes: Mapping[str, Any]) -> str:
    """Return what the attributes say that the image shows; nothing if they do not."""
    said = attributes.get(CAPTION)
    return said if isinstance(said, str) else ""


def text_of(name: str, picture: Picture, caption: str) -> str:
    """Return the text by which an image is found and cited: its name, its caption, and the text in it."""
    check_plain(caption)
    words = " ".join(PurePosixPath(name).stem.replace("_", " ").replace("-", " ").split())
    parts = [
        f"Image: {words or name}",
        caption.strip() or _printable(picture.described),
        _printable(picture.recognised),
    ]
    if parts[2]:
        parts[2] = f"Text in the image:\n\n{parts[2]}"
    return "\n\n".join(part for part in parts if part)


def _printable(text: str) -> str:
    return "".join(one for one in text if one.isprintable() or one in "\n\t").strip()


def among(kinds: Collection[EvidenceKind], filters: SearchFilter | None) -> SearchFilter | None:
    """Return a filter that keeps only documents of some kinds: with text, images, or both."""
    if {"text", "image"} <= set(kinds):
        return filters
    only = Comparison(type="in" if "image" in kinds else "nin", key="document.media_type", value=MEDIA_TYPES)
    return only if filters is None else Compound(type="and", filters=(only, filters))


def distance(first: str, second: str) -> int:
    """Return how many bits of two hashes differ (Hamming)."""
    return (int(first, 16) ^ int(second, 16)).bit_count()
