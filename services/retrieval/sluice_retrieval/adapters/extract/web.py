"""HTML as Markdown: headings, paragraphs, lists, rows of tables; scripts and styles are left out."""

from typing import NamedTuple

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
    parser = html.HTMLParser(encoding=encoding, no_network=True, huge_tree=True, remove_comments=True, remove_pis=True)
    try:
        root = html.document_fromstring(raw, parser=parser)
    except etree.ParserError as exc:
        raise Unreadable("The page holds no HTML that can be read.") from exc
    if any(entry.type_name == "ERR_RESOURCE_LIMIT" for entry in parser.error_log):
        raise Unreadable(
            "The elements of the page lie too deep in each other, or are too large: its text cannot be read whole."
        )
    etree.strip_elements(root, *_HIDDEN, with_tail=False)
    _Page(writer).read(root)


class _Page:
    """Collects inline text until a block begins or ends."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._held: list[str] = []
        self._row: list[_Cell] | None = None
        self._cell: list[str] = []
        self._columns: list[str] = []
        self._first = False

    def read(self, root: html.HtmlElement) -> None:
        """Write the blocks of a tree."""
        for event, element in etree.iterwalk(root, events=("start", "end")):
            tag = element.tag if isinstance(element.tag, str) else ""
            if event == "start":
                if tag in _BLOCKS:
                    self._flush("")
                if tag == "table":
                    self._columns, self._first = [], True
                if tag == "tr":
                    self._row, self._cell = [], []
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
        if self._row is not None:
            if line:
                self._cell.append(line)
            if tag in ("td", "th") or (tag == "tr" and self._cell):
                self._row.append(_Cell(" ".join(self._cell), heads=tag == "th"))
                self._cell = []
            if tag == "tr":
                self._writer.add(self._row_of(self._row))
                self._row, self._first = None, False
        elif line and tag in _HEADINGS:
            self._writer.add(heading(_HEADINGS[tag], text))
        else:
            self._writer.add(f"- {line}" if line and tag == "li" else line)

    def _row_of(self, cells: "list[_Cell]") -> str:
        """Return a row of a table: with the names of its columns where the first row is of header cells, else as it stands."""
        texts = [cell.text for cell in cells]
        names_all = all(cell.heads and cell.text for cell in cells) and len(set(texts)) == len(texts)
        if self._first and cells and names_all:
            self._columns = texts
            return f"- {'; '.join(texts)}"
        if self._columns and len(texts) == len(self._columns):
            pairs = zip(self._columns, texts, strict=True)
            return "- " + "; ".join(f"{name}: {text}" for name, text in pairs if text) if any(texts) else ""
        return "- " + " | ".join(text for text in texts if text) if any(texts) else ""


class _Cell(NamedTuple):
    text: str
    heads: bool
