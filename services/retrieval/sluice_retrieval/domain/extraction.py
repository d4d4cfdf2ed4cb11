"""The port that turns a file into text, and the formats it knows."""

from enum import StrEnum
from pathlib import PurePosixPath
from typing import NamedTuple, Protocol

from sluice.contracts.retrieval import DOCUMENT_SUFFIXES
from sluice_retrieval.domain.documents import check_size
from sluice_retrieval.domain.errors import DocumentTooLarge, DocumentTypeUnknown
from sluice_retrieval.domain.images import PictureReader


class FileFormat(StrEnum):
    """How the bytes of an uploaded file are read."""

    PLAIN = "plain"
    MARKDOWN = "markdown"
    HTML = "html"
    PDF = "pdf"
    DOCX = "docx"
    PPTX = "pptx"
    XLSX = "xlsx"
    CSV = "csv"
    SUBTITLES = "subtitles"
    IMAGE = "image"
    RECORDING = "recording"


AS_TEXT = frozenset({FileFormat.PLAIN, FileFormat.MARKDOWN})
"""Formats that are text already: kept to the character."""

_BY_SUFFIX = {suffix: FileFormat(name) for suffix, name in DOCUMENT_SUFFIXES.items()}
_OFFICE = "application/vnd.openxmlformats-officedocument"
_BY_MEDIA_TYPE = {
    "text/plain": FileFormat.PLAIN,
    "application/json": FileFormat.PLAIN,
    "text/markdown": FileFormat.MARKDOWN,
    "text/x-markdown": FileFormat.MARKDOWN,
    "text/html": FileFormat.HTML,
    "application/xhtml+xml": FileFormat.HTML,
    "application/pdf": FileFormat.PDF,
    f"{_OFFICE}.wordprocessingml.document": FileFormat.DOCX,
    f"{_OFFICE}.presentationml.presentation": FileFormat.PPTX,
    f"{_OFFICE}.spreadsheetml.sheet": FileFormat.XLSX,
    "text/csv": FileFormat.CSV,
    "text/tab-separated-values": FileFormat.CSV,
    "text/vtt": FileFormat.SUBTITLES,
    "application/x-subrip": FileFormat.SUBTITLES,
    **dict.fromkeys(("image/png", "image/jpeg", "image/webp", "image/gif"), FileFormat.IMAGE),
}


class Sizes(NamedTuple):
    """How many bytes a file may have: a recording, and any other."""

    recording: int
    other: int

    def check(self, size: int, filename: str) -> None:
        """Raise `DocumentTooLarge` if a file of this name has too many bytes."""
        recorded = _BY_SUFFIX.get(PurePosixPath(filename.lower()).suffix) is FileFormat.RECORDING
        check_size(size, self.recording if recorded else self.other, "RECORDING" if recorded else "DOCUMENT")

    def check_any(self, size: int) -> None:
        """Raise `DocumentTooLarge` if a file has too many bytes whatever it is."""
        if size > max(self):
            raise DocumentTooLarge(
                f"The file is too large: a recording may have {self.recording} bytes (SLUICE_RETRIEVAL_MAX_RECORDING_BYTES), "
                f"any other {self.other} (SLUICE_RETRIEVAL_MAX_DOCUMENT_BYTES). Split it, or raise the limit."
            )


class Source(NamedTuple):
    """A file's name and bytes."""

    name: str
    raw: bytes


class FileSource(Protocol):
    """Where files lie that were uploaded apart from their ingestion.

    Both methods raise `DocumentNotFound` for a file that the tenant does not have; while the source is away they raise
    `DependencyUnavailable`: no file can be added, and one that was waits.
    """

    async def describe(self, tenant: str, file_id: str) -> tuple[str, int]:
        """Return a file's name and size in bytes."""
        ...

    async def read(self, tenant: str, file_id: str) -> Source:
        """Return a file; raises `DocumentTooLarge` if it is over the limit."""
        ...


class Extractor(PictureReader, Protocol):
    """Reads images, and turns any other file into Markdown, with a heading for each page, slide or sheet."""

    async def extract(self, raw: bytes, file_format: FileFormat) -> str:
        """Return the text of a file.

        Raises:
            DocumentUnreadable: it is broken, needs a password, holds no text, or needs more time or memory than allowed.
            DocumentTooLarge: its text, or its number of pages, is over the limit.
        """
        ...


def format_of(filename: str, declared: str) -> FileFormat:
    """Return the format of an uploaded file, by its name's ending, else by what the sender declared.

    Raises:
        DocumentTypeUnknown: there is no parser for it.
    """
    by_name = _BY_SUFFIX.get(PurePosixPath(filename.lower()).suffix)
    found = by_name or _BY_MEDIA_TYPE.get(declared.split(";", maxsplit=1)[0].strip().lower())
    if found is None:
        raise DocumentTypeUnknown(
            f"{filename or 'The file'} is of no supported type. Send text, Markdown, HTML, PDF, DOCX, PPTX, XLSX, CSV, JSON, code, subtitles (VTT, SRT), PNG, JPEG, WebP or GIF, or where a model writes down what is said: MP3, MP4, WAV, "
            "M4A, FLAC, Ogg, WebM, MOV, MKV or MPEG."
        )
    return found
