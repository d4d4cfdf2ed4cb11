"""Word, PowerPoint and Excel files, and tables of comma-separated values, as Markdown."""

import csv
import io
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, time
from typing import Any

from sluice_retrieval.adapters.extract.markdown import TooLarge, Unreadable, Writer, heading, inline, rows
from sluice_retrieval.domain.encodings import ONLY, text_of

_MAX_UNPACKED = 200 * 1024 * 1024
_MAX_PARTS = 20_000
_DELIMITERS = ",;\t|"


def check_archive(raw: bytes) -> None:
    """Raise if a file is no archive, or would unpack to far more than it may."""
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            parts = archive.infolist()
    except zipfile.BadZipFile as exc:
        raise Unreadable("The file is broken, or is protected by a password: it is no Office archive.") from exc
    if len(parts) > _MAX_PARTS or sum(part.file_size for part in parts) > _MAX_UNPACKED:
        raise TooLarge(f"The file unpacks to more than {_MAX_UNPACKED // 2**20} MiB or {_MAX_PARTS} parts.")


def read_docx(raw: bytes, writer: Writer) -> None:
    """Write paragraphs under their headings, and tables row by row."""
    import docx  # noqa: PLC0415
    from docx.table import Table  # noqa: PLC0415

    check_archive(raw)
    for part in docx.Document(io.BytesIO(raw)).iter_inner_content():
        if isinstance(part, Table):
            _add_rows(writer, ([cell.text for cell in row.cells] for row in part.rows))
            continue
        style = (part.style.name if part.style is not None else None) or ""
        text = inline(part.text)
        if text and (style == "Title" or style.startswith("Heading")):
            level = style.removeprefix("Heading").strip()
            writer.add(heading(int(level) if level.isdigit() else 1, part.text))
        else:
            writer.add(f"- {text}" if text and style.startswith("List") else text)


def read_pptx(raw: bytes, writer: Writer) -> None:
    """Write a section for each slide: its texts, tables and notes."""
    import pptx  # noqa: PLC0415

    check_archive(raw)
    for number, slide in enumerate(pptx.Presentation(io.BytesIO(raw)).slides, start=1):
        title = slide.shapes.title
        named = inline(title.text_frame.text) if title is not None else ""
        writer.add(heading(1, f"Slide {number}: {named}" if named else f"Slide {number}"), title=not named)
        for shape in _shapes(slide.shapes):
            if title is not None and shape.shape_id == title.shape_id:
                continue
            if getattr(shape, "has_table", False):
                _add_rows(writer, ([cell.text for cell in row.cells] for row in shape.table.rows))
            elif shape.has_text_frame:
                for paragraph in shape.text_frame.paragraphs:
                    writer.add(inline(paragraph.text))
        if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
            writer.add(inline(slide.notes_slide.notes_text_frame.text))


def read_xlsx(raw: bytes, writer: Writer) -> None:
    """Write a section for each sheet, with the values that its cells show."""
    import openpyxl  # type: ignore[import-untyped]  # noqa: PLC0415

    check_archive(raw)
    book = openpyxl.load_workbook(io.BytesIO(raw), read_only=True, data_only=True)
    for sheet in book.worksheets:
        writer.add(heading(1, f"Sheet {sheet.title}"), title=True)
        values = sheet.iter_rows(values_only=True)
        _add_rows(writer, ([_shown(cell) for cell in row] for row in values))


def _shown(cell: object) -> str:
    if isinstance(cell, datetime) and cell.time() == time():
        return cell.date().isoformat()  # a day, which Excel keeps as its midnight
    return "" if cell is None else str(cell)


def read_csv(raw: bytes, writer: Writer) -> None:
    """Write a table row by row; the delimiter is the commonest of the first line."""
    try:
        text = text_of(raw)
    except UnicodeDecodeError as exc:
        raise Unreadable(f"The file is not UTF-8 text: byte {exc.start} cannot be read. {ONLY}") from exc
    first = text.lstrip().split("\n", maxsplit=1)[0]
    delimiter = max(_DELIMITERS, key=first.count)
    try:
        _add_rows(writer, csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    except csv.Error as exc:
        raise Unreadable(f"The table cannot be read: {exc}.") from exc


def _add_rows(writer: Writer, table: Iterable[Sequence[str]]) -> None:
    for row in rows(table):
        writer.add(row)


def _shapes(shapes: Any) -> Iterator[Any]:  # a group or a slide: python-pptx has one type for each
    waiting = list(shapes)[::-1]
    while waiting:
        shape = waiting.pop()
        if hasattr(shape, "shapes"):
            waiting.extend(list(shape.shapes)[::-1])
        else:
            yield shape
