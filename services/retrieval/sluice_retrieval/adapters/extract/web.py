"""HTML as Markdown: headings, paragraphs, lists, rows of tables; scripts and styles are left out."""

from lxml import etree, html  # type: ignore[import-untyped]

from sluice_retrieval.adapters.extract.markdown import Unreadable, Writer, heading, inline, plain

_HIDDEN = ("script", "style", "noscript", "template", "head", "svg", "iframe", "object")
_BLOCK_NAMES = (
    "address article aside blockquote body br dd details div dl dt fieldset figcaption figure footer form header hr html "
    "li main nav ol p pre section summary table tbody td tfoot th thead tr ul h1 h2 h3 h4 h5 h6"
)
_BLOCKS = frozenset(_BLOCK_NAMES.split())
_HEADINGS = {f"h{level}": level for level in range(1, 7)}


def read_html(raw: bytes, writer: Writer) -> None:
    """Write the visible text of a page."""
    if not raw.strip():
        return
    try:
        raw.decode()
        encoding = "utf-8"
    except UnicodeDecodeError:
        encoding = None  # the page's own declaration decides
    parser = html.HTMLParser(encoding=encoding, no_network=True, huge_tree=False, remove_comments=True, remove_pis=True)
    try:
        root = html.document_fromstring(raw, parser=parser)
    except etree.ParserError as exc:
        raise Unreadable("The page holds no HTML that can be read.") from exc
    etree.strip_elements(root, *_HIDDEN, with_tail=False)
    _Page(writer).read(root)


class _Page:
    """Collects inline text until a block begins or ends."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._held: list[str] = []
        self._row: list[str] | None = None

    def read(self, root: html.HtmlElement) -> None:
        """Write the blocks of a tree."""
        for event, element in etree.iterwalk(root, events=("start", "end")):
            tag = element.tag if isinstance(element.tag, str) else ""
            if event == "start":
                if tag in _BLOCKS:
                    self._flush("")
                if tag == "tr":
                    self._row = []
                self._held.append(element.text or "")
            else:
                if tag in _BLOCKS:
                    self._flush(tag)
                self._held.append(element.tail or "")
        self._flush("")

    def _flush(self, tag: str) -> None:
        text, self._held = "".join(self._held), []
        if tag == "pre" and text.strip():
            self._writer.add(f"````\n{plain(text)}\n````")
            return
        line = inline(text)
        if tag == "tr" and self._row is not None:
            row, self._row = [*self._row, line], None
            self._writer.add("- " + " | ".join(cell for cell in row if cell) if any(row) else "")
        elif self._row is not None:
            self._row.append(line)
        elif line and tag in _HEADINGS:
            self._writer.add(heading(_HEADINGS[tag], text))
        else:
            self._writer.add(f"- {line}" if line and tag == "li" else line)
