"""PDF as Markdown: a section for each page."""

import pypdfium2  # type: ignore[import-untyped]

from sluice_retrieval.adapters.extract.markdown import TooLarge, Unreadable, Writer, heading, plain


def read_pdf(raw: bytes, max_pages: int, writer: Writer) -> None:
    """Write the text layer of each page; pages that are only pictures are left out."""
    try:
        document = pypdfium2.PdfDocument(raw)
    except pypdfium2.PdfiumError as exc:
        raise Unreadable("The PDF cannot be opened: it is broken, or is protected by a password.") from exc
    if len(document) > max_pages:
        raise TooLarge(f"The PDF has {len(document)} pages, and at most {max_pages} are read. Split it.")
    for number in range(len(document)):
        page = document[number]
        layer = page.get_textpage()
        text = plain(layer.get_text_bounded())
        layer.close()
        page.close()
        if text.strip():
            writer.add(heading(1, f"Page {number + 1}"), title=True)
            writer.add(text)
    if not writer.words:
        raise Unreadable("The PDF has no text, only pictures: send one in which text was recognised.")
