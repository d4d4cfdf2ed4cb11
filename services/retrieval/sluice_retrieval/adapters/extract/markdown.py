"""Extracted text as Markdown: what looks like markup in a file stays text."""

import re
from collections.abc import Iterable, Sequence

_MARKUP = re.compile(r"^([ \t]*)(?=#{1,6}(?:[ \t]|$)|=+[ \t]*$|-{2,}[ \t]*$|```|~~~)", re.MULTILINE)
_SPACE = re.compile(r"\s+")
_NOT_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


class Unreadable(Exception):
    """The file cannot be read; the message says why in a sentence for its sender."""


class TooLarge(Exception):
    """The file's text or number of pages is over the limit."""


def plain(text: str) -> str:
    """Return text in which no line is a heading, an underline or a fence."""
    lines = _NOT_TEXT.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).strip("\n").rstrip()
    return _MARKUP.sub(r"\1\\", lines)


def inline(text: str) -> str:
    """Return text on one line."""
    return plain(_SPACE.sub(" ", text).strip())


def heading(level: int, text: str) -> str:
    """Return a heading of level 1 to 6."""
    return f"{'#' * min(max(level, 1), 6)} {_SPACE.sub(' ', _NOT_TEXT.sub('', text)).strip()}"


def rows(table: Iterable[Sequence[str]]) -> Iterable[str]:
    """Yield each row of a table as an item that names its columns; the first row that is not empty names them."""
    columns: list[str] | None = None
    for row in table:
        cells = [inline(cell) for cell in row]
        if not any(cells):
            continue
        if columns is None:
            columns = cells
            yield "- " + "; ".join(cell for cell in cells if cell)
            continue
        names = [*columns, *[""] * (len(cells) - len(columns))]
        pairs = zip(names, cells, strict=False)
        yield "- " + "; ".join(f"{name}: {cell}" if name else cell for name, cell in pairs if cell)


class Writer:
    """Joins blocks into one document of at most `max_bytes`."""

    def __init__(self, max_bytes: int) -> None:
        self._blocks: list[str] = []
        self._left = max_bytes
        self._max = max_bytes
        self.words = False

    def add(self, block: str, *, title: bool = False) -> None:
        """Add a block; `title` marks one that a parser made up, which alone does not make a document."""
        if not block.strip():
            return
        self._left -= len(block.encode()) + 2
        if self._left < 0:
            raise TooLarge(
                f"The text of the file has more than {self._max} bytes. Split the file, or raise "
                "SLUICE_RETRIEVAL_MAX_DOCUMENT_BYTES."
            )
        self.words = self.words or not title
        self._blocks.append(block)

    def text(self) -> str:
        """Return the document."""
        return "\n\n".join(self._blocks) + "\n"
