"""Files of each format through the real parsing process: what their text is, and how hostile ones fail."""

import asyncio
import io
import re
import zipfile
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import docx
import openpyxl
import pptx
import pytest

from sluice.contracts.retrieval import ChunkingOptions
from sluice_retrieval.adapters.extract.sandbox import ParseLimits, ProcessExtractor
from sluice_retrieval.domain.chunking import chunk_document
from sluice_retrieval.domain.documents import MARKDOWN
from sluice_retrieval.domain.errors import DocumentTooLarge, DocumentTypeUnknown, DocumentUnreadable
from sluice_retrieval.domain.extraction import FileFormat, format_of
from sluice_retrieval.domain.tokens import Word


def pdf_file(pages: Sequence[str]) -> bytes:
    """Return a PDF with a line of text on each page."""
    kids = " ".join(f"{4 + 2 * index} 0 R" for index in range(len(pages)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for index, text in enumerate(pages):
        drawn = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET" if text else ""
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {5 + 2 * index} 0 R "
            "/Resources << /Font << /F1 3 0 R >> >> >>"
        )
        objects.append(f"<< /Length {len(drawn)} >>\nstream\n{drawn}\nendstream")
    out = bytearray(b"%PDF-1.4\n")
    offsets = []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n".encode()
    table = len(out)
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode()
    out += "".join(f"{offset:010} 00000 n \n" for offset in offsets).encode()
    out += f"trailer << /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{table}\n%%EOF\n".encode()
    return bytes(out)


def word_file() -> bytes:
    """Return a Word file with headings, a list and a table between two paragraphs."""
    document = docx.Document()
    document.add_heading("Travel policy", 0)
    document.add_heading("Hotels", 2)
    document.add_paragraph("A night may cost 140 euros.")
    document.add_paragraph("Breakfast is included.", style="List Bullet")
    table = document.add_table(rows=2, cols=2)
    for cell, text in zip([*table.rows[0].cells, *table.rows[1].cells], ("City", "Limit", "Oslo", "180"), strict=True):
        cell.text = text
    document.add_paragraph("# not a heading")
    return _saved(document)


def slides_file() -> bytes:
    """Return a presentation of two slides, the first with notes."""
    presentation = pptx.Presentation()
    for title, body in (("Roadmap", "Ship the parser."), ("Risks", "Hostile files.")):
        slide = presentation.slides.add_slide(presentation.slide_layouts[1])
        slide.shapes.title.text = title
        slide.placeholders[1].text = body
    presentation.slides[0].notes_slide.notes_text_frame.text = "Say it slowly."
    return _saved(presentation)


def workbook_file() -> bytes:
    """Return a workbook of two sheets."""
    book = openpyxl.Workbook()
    first = book.active
    first.title = "Prices"
    for row in (("Item", "Euro", "Since"), ("Bolt", 2, datetime(2026, 3, 1)), (None, None), ("Nut", 1.5)):  # noqa: DTZ001 - as Excel has it
        first.append(row)
    book.create_sheet("Empty")
    return _saved(book)


def bomb_file() -> bytes:
    """Return an archive of 300 kB that unpacks to 300 MB."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", bytes(300_000_000))
    return packed.getvalue()


def with_document_xml(raw: bytes, xml: bytes) -> bytes:
    """Return a Word file whose main part is `xml`."""
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(raw)) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for part in old.infolist():
            new.writestr(part.filename, xml if part.filename == "word/document.xml" else old.read(part))
    return packed.getvalue()


def _saved(document: Any) -> bytes:
    packed = io.BytesIO()
    document.save(packed)
    return packed.getvalue()


LIMITS = ParseLimits(max_bytes=2_000_000, max_pages=50, cpu_s=60, memory_mb=1024)
LAUGHS = b"""<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "haha">%s]><w:document
xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body><w:p><w:r><w:t>&z9;</w:t></w:r></w:p>
</w:body></w:document>""" % b"".join(
    b'<!ENTITY z%d "%s">' % (level, (b"&a;" if level == 0 else b"&z%d;" % (level - 1)) * 10) for level in range(10)
)
PAGE = """<html><head><title>x</title><script>alert(1)</script></head><body><h1>Küche</h1><p>Der <b>Ofen</b> ist
heiß.</p><h2>Regeln</h2><ul><li>Nie <i>laufen</i></li></ul><table><tr><th>Tag</th><th>Zeit</th></tr><tr><td>Mo</td>
<td>8</td></tr></table><table><tr><td><p>a</p><p>b</p></td><td></td><td>c</td></tr></table><pre># a comment
x = 1</pre>tail</body></html>""".encode()


def extractor(**changed: int) -> ProcessExtractor:
    return ProcessExtractor(ParseLimits(**{**{name: getattr(LIMITS, name) for name in LIMITS.__slots__}, **changed}), 2)


TALK = b"""WEBVTT - a talk

STYLE
::cue { color: red }

NOTE 00:00:00.000 is not a cue

first
00:01.000 --> 00:04.000 align:start
<v.loud Ada>Welcome &amp; good <b>morning</b>.

00:04.000 --> 00:09.000
<v Ada>Welcome &amp; good morning.
We <00:04.500>test the pump.

00:33.000 --> 00:36.000
The valve opens

00:36.000 --> 01:20.000
The valve opens
and goes on and on

01:02:03.000 --> 01:02:05.000
# closes at 9 &lt; 10.
"""


async def test_each_format_becomes_markdown_that_names_its_pages_slides_and_sheets() -> None:
    given = {
        FileFormat.HTML: PAGE,
        FileFormat.PDF: pdf_file(["First things", "", "Third things"]),
        FileFormat.DOCX: word_file(),
        FileFormat.PPTX: slides_file(),
        FileFormat.XLSX: workbook_file(),
        FileFormat.CSV: "name;age\nAda;36\n\nBob;41;extra\n".encode("utf-16"),
        FileFormat.SUBTITLES: TALK,
    }
    parse = extractor()
    texts = await asyncio.gather(*(parse.extract(raw, file_format) for file_format, raw in given.items()))
    assert dict(zip(given, texts, strict=True)) == {
        FileFormat.HTML: "# Küche\n\nDer Ofen ist heiß.\n\n## Regeln\n\n- Nie laufen\n\n- Tag; Zeit\n\n- Tag: Mo; Zeit: 8\n\n- a b | c\n\n"
        "````\n\\# a comment\nx = 1\n````\n\ntail\n",
        FileFormat.PDF: "# Page 1\n\nFirst things\n\n# Page 3\n\nThird things\n",
        FileFormat.DOCX: "# Travel policy\n\n## Hotels\n\nA night may cost 140 euros.\n\n- Breakfast is included.\n\n"
        "- City; Limit\n\n- City: Oslo; Limit: 180\n\n\\# not a heading\n",
        FileFormat.PPTX: "# Slide 1: Roadmap\n\nShip the parser.\n\nSay it slowly.\n\n# Slide 2: Risks\n\nHostile files.\n",
        FileFormat.XLSX: "# Sheet Prices\n\n- Item; Euro; Since\n\n- Item: Bolt; Euro: 2; Since: 2026-03-01\n\n- Item: Nut; Euro: 1.5\n\n"
        "# Sheet Empty\n",
        FileFormat.CSV: "- name; age\n\n- name: Ada; age: 36\n\n- name: Bob; age: 41; extra\n",
        FileFormat.SUBTITLES: "## 0:00:01 – 0:00:09\n\nAda: Welcome & good morning. We test the pump.\n\n## 0:00:33 – 0:01:20\n\nThe valve opens and goes on and on\n\n"
        "## 1:02:03 – 1:02:05\n\n# closes at 9 < 10.\n".replace("\n# closes", "\n\\# closes"),
    }


async def test_a_page_of_deeply_nested_elements_is_read_whole_or_refused_for_that() -> None:
    def nested(depth: int) -> bytes:
        return b"<p>before</p>" + b"<div>" * depth + b"inside" + b"</div>" * depth + b"<p>after</p>"

    parse = extractor()
    assert await parse.extract(nested(1000), FileFormat.HTML) == "before\n\ninside\n\nafter\n"
    with pytest.raises(DocumentUnreadable, match="too deep in each other"):
        await parse.extract(nested(50_000), FileFormat.HTML)


async def test_subtitles_of_subrip_are_read_and_others_refused() -> None:
    parse = extractor()
    old = "1\r\n00:00:05,100 --> 00:00:07,000\r\n{\\an8}<i>Größe</i> zählt.\r\n\r\n2\r\n00:00:07,000 --> 00:00:09,000\r\n\r\n".encode()
    assert await parse.extract(b"\xef\xbb\xbf" + old, FileFormat.SUBTITLES) == "## 0:00:05 – 0:00:07\n\nGröße zählt.\n"
    for wrong, reason in (
        (b"WEBVTT\n\nNOTE nothing is said\n", "no subtitles"),
        (b"WEBVTT\n\n00:01.000 --> 00:02.000\n<i></i>\n", "no subtitles"),
        (b"\xff00:01.000", "not UTF-8 text"),
        (b"-->" * 100_000, "no subtitles"),
        (b"<" * 300_000 + b"\n\n1:00:00.0 -->", "no subtitles"),
    ):
        with pytest.raises(DocumentUnreadable, match=reason):
            await parse.extract(wrong, FileFormat.SUBTITLES)
    assert format_of("talk.VTT", "") is format_of("", "text/vtt") is format_of("a.srt", "") is FileFormat.SUBTITLES


async def test_chunks_of_a_pdf_are_its_exact_text_and_name_their_page() -> None:
    text = await extractor().extract(pdf_file([f"Rule {n} is kept." for n in range(1, 6)]), FileFormat.PDF)

    chunks = list(chunk_document(text, MARKDOWN, ChunkingOptions(max_tokens=32), _Words()))
    assert [chunk.heading for chunk in chunks] == [f"Page {n}" for n in range(1, 6)]
    assert all(chunk.text == text[chunk.start : chunk.end] for chunk in chunks)
    assert "Rule 3 is kept." in chunks[2].text


@pytest.mark.parametrize(
    ("file_format", "raw", "error", "reason"),
    [
        (FileFormat.PDF, b"%PDF-1.7", DocumentUnreadable, "cannot be opened"),
        (FileFormat.PDF, pdf_file([""]), DocumentUnreadable, "no text, only pictures"),
        (FileFormat.PDF, pdf_file(["x"] * 51), DocumentTooLarge, "51 pages, and at most 50"),
        (FileFormat.DOCX, b"PK\x03\x04 nothing", DocumentUnreadable, "no Office archive"),
        (FileFormat.DOCX, bomb_file(), DocumentTooLarge, "unpacks to more than 200 MiB"),
        (FileFormat.DOCX, with_document_xml(word_file(), LAUGHS), DocumentUnreadable, "."),
        (FileFormat.XLSX, word_file(), DocumentUnreadable, "The file is broken: its xlsx parser stopped"),
        (FileFormat.HTML, b"<script>only()</script>", DocumentUnreadable, "holds no text"),
        (FileFormat.CSV, b"\xe9,1", DocumentUnreadable, "not UTF-8 text: byte 0"),
    ],
)
async def test_a_broken_or_hostile_file_fails_alone_with_a_reason(
    file_format: FileFormat, raw: bytes, error: type[Exception], reason: str
) -> None:
    parse = extractor()
    with pytest.raises(error) as failed:
        await parse.extract(raw, file_format)
    assert reason in str(failed.value)
    assert await parse.extract(b"a,b\n1,2\n", FileFormat.CSV) == "- a; b\n\n- a: 1; b: 2\n"


@pytest.mark.parametrize(
    ("changed", "raw", "error", "reason"),
    [
        ({"cpu_s": 1}, b"a,b\n" + b"x" * 30 + b",y\n" * 3_000_000, DocumentUnreadable, "more than 1 s to parse"),
        ({"memory_mb": 64}, b"a\n" * 40_000_000, DocumentUnreadable, "more than 64 MiB to parse"),
        ({"max_bytes": 1000}, b"a,b\n" * 1000, DocumentTooLarge, "more than 1000 bytes"),
    ],
)
async def test_limits_of_one_file(changed: dict[str, int], raw: bytes, error: type[Exception], reason: str) -> None:
    with pytest.raises(error, match=reason):
        await extractor(**{"max_bytes": 1_000_000_000, **changed}).extract(raw, FileFormat.CSV)


def test_the_format_is_known_by_name_then_by_declaration() -> None:
    assert format_of("Report.PDF", "text/plain") is FileFormat.PDF
    assert format_of("main.rs", "") is FileFormat.PLAIN
    assert format_of("", "text/html; charset=utf-8") is FileFormat.HTML
    with pytest.raises(DocumentTypeUnknown, match=r"setup\.exe is of no supported type"):
        format_of("setup.exe", "application/octet-stream")


class _Words:
    """Counts a token for each word."""

    def words(self, text: str) -> list[Word]:
        return [Word(found.start(), found.end(), 1) for found in re.finditer(r"\S+", text)]
