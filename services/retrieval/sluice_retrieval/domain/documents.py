"""What may become a document, and which of its two types it is."""

from pathlib import PurePosixPath

from sluice.contracts.retrieval import DocumentCreate
from sluice_retrieval.domain.errors import DocumentTooLarge, DocumentTypeUnknown, DocumentUnreadable

PLAIN, MARKDOWN = "text/plain", "text/markdown"
_BY_SUFFIX = {".txt": PLAIN, ".text": PLAIN, ".md": MARKDOWN, ".markdown": MARKDOWN}
_BY_MEDIA_TYPE = {PLAIN: PLAIN, MARKDOWN: MARKDOWN, "text/x-markdown": MARKDOWN}


def media_type_of(filename: str, declared: str) -> str:
    """Return the type of an uploaded file, by its name's ending, else by what the sender declared.

    Raises:
        DocumentTypeUnknown: it is neither plain text nor Markdown.
    """
    by_name = _BY_SUFFIX.get(PurePosixPath(filename.lower()).suffix)
    found = by_name or _BY_MEDIA_TYPE.get(declared.split(";", maxsplit=1)[0].strip().lower())
    if found is None:
        raise DocumentTypeUnknown(
            f"{filename or 'The file'} is not plain text (.txt) or Markdown (.md). Convert it to one of them first."
        )
    return found


def decoded(raw: bytes, max_bytes: int) -> str:
    """Return the text of an uploaded file; a byte order mark is dropped.

    Raises:
        DocumentTooLarge: it has more than `max_bytes`.
        DocumentUnreadable: it is not UTF-8.
    """
    check_size(len(raw), max_bytes)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise DocumentUnreadable(
            f"The file is not UTF-8 text: byte {exc.start} cannot be read. Save it as UTF-8 and send it again."
        ) from exc


def check_size(size: int, max_bytes: int) -> None:
    """Raise `DocumentTooLarge` if `size` is over the limit."""
    if size > max_bytes:
        raise DocumentTooLarge(
            f"The document has more than {max_bytes} bytes. Split it, or raise SLUICE_RETRIEVAL_MAX_DOCUMENT_BYTES."
        )


def checked_bytes(document: DocumentCreate, max_bytes: int) -> int:
    """Return the document's size in UTF-8 bytes if it can be ingested.

    Raises:
        DocumentUnreadable: it is empty, or holds characters that are not text.
        DocumentTooLarge: it is over the limit.
    """
    if not document.text.strip():
        raise DocumentUnreadable("The document is empty. Send one that has text.")
    check_plain(document.name, document.text, *document.metadata, *document.metadata.values())
    size = len(document.text.encode())
    check_size(size, max_bytes)
    return size


def check_plain(*values: str) -> None:
    """Raise `DocumentUnreadable` if a value holds what no database keeps as text: NUL, or half a surrogate pair."""
    for value in values:
        if "\x00" in value:
            raise DocumentUnreadable("The text, name or metadata holds NUL characters: it is not text.")
        try:
            value.encode()
        except UnicodeEncodeError as exc:
            raise DocumentUnreadable(f"Character {exc.start} is half of a surrogate pair: it is not text.") from exc
