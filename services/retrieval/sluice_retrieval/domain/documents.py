"""What may become a document."""

from typing import Literal

from sluice.contracts.retrieval import DocumentCreate
from sluice_retrieval.domain.encodings import ONLY, text_of
from sluice_retrieval.domain.errors import DocumentTooLarge, DocumentUnreadable

PLAIN, MARKDOWN = "text/plain", "text/markdown"


def decoded(raw: bytes, max_bytes: int) -> str:
    """Return the text of an uploaded file; a byte order mark is dropped.

    Raises:
        DocumentTooLarge: it has more than `max_bytes`.
        DocumentUnreadable: it is neither UTF-8 nor UTF-16.
    """
    check_size(len(raw), max_bytes)
    try:
        return text_of(raw)
    except UnicodeDecodeError as exc:
        raise DocumentUnreadable(f"The file is not UTF-8 text: byte {exc.start} cannot be read. {ONLY}") from exc


def check_size(size: int, max_bytes: int, limit: Literal["DOCUMENT", "RECORDING"] = "DOCUMENT") -> None:
    """Raise `DocumentTooLarge` if `size` is over a limit."""
    if size > max_bytes:
        raise DocumentTooLarge(
            f"The {limit.lower()} has more than {max_bytes} bytes. Split it, or raise SLUICE_RETRIEVAL_MAX_{limit}_BYTES."
        )


def checked_bytes(document: DocumentCreate, max_bytes: int, recorded: int | None = None) -> int:
    """Return the document's size in UTF-8 bytes if it can be ingested; a recording, which has no text yet, has its own.

    Raises:
        DocumentUnreadable: it is empty, or holds characters that are not text.
        DocumentTooLarge: it is over the limit.
    """
    if recorded is None:
        checked_text(document.text)
    texts = (value for value in document.metadata.values() if isinstance(value, str))
    check_plain(document.name, *document.metadata, *texts)
    if recorded is not None:
        return recorded
    size = len(document.text.encode())
    check_size(size, max_bytes)
    return size


def checked_text(text: str) -> None:
    """Raise `DocumentUnreadable` if a text is empty or holds characters that are not text."""
    if not text.strip():
        raise DocumentUnreadable("The document is empty. Send one that has text.")
    check_plain(text)


def check_plain(*values: str) -> None:
    """Raise `DocumentUnreadable` if a value holds what no database keeps as text: NUL, or half a surrogate pair."""
    for value in values:
        if "\x00" in value:
            raise DocumentUnreadable("The text, name or metadata holds NUL characters: it is not text.")
        try:
            value.encode()
        except UnicodeEncodeError as exc:
            raise DocumentUnreadable(f"Character {exc.start} is half of a surrogate pair: it is not text.") from exc
