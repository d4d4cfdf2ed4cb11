"""The context block: numbered evidence with its sources, within a budget of tokens (F113, F116, F264)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import NamedTuple

from sluice.contracts.enhanced import InfoType
from sluice.contracts.retrieval import Citation, ContextPlacement, ContextReply, ContextTemplate
from sluice_retrieval.domain.recordings import time_of
from sluice_retrieval.domain.search import Hit
from sluice_retrieval.domain.tokens import TokenCounter, count_tokens

CUT_NOTE = " […] (cut to fit)"
_GAP = "\n\n"
TIER_KEY = "context_tier"
TIERS = ("essential", "task", "background", "edge")
"""How much a document matters, by its metadata: filled in this order, dropped from the end; without a word it is `task`."""

_KINDS: tuple[InfoType, ...] = ("documents", "tables", "code", "images")
_IMAGES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif"})
_TABLES = frozenset({".csv", ".tsv", ".xlsx", ".xlsm"})
_CODE = frozenset(
    f".{one}"
    for one in [
        "bash",
        "c",
        "cc",
        "cpp",
        "cs",
        "css",
        "go",
        "h",
        "hpp",
        "java",
        "js",
        "jsx",
        "kt",
        "lua",
        "php",
        "pl",
        "ps1",
        "py",
        "r",
        "rb",
        "rs",
        "scala",
        "sh",
        "sql",
        "swift",
        "ts",
        "tsx",
    ]
)


class ContextShape(NamedTuple):
    """How the block is laid out: where the best evidence stands, and whether it is parted by kind."""

    placement: ContextPlacement = "ranked"
    template: ContextTemplate = "numbered"


@dataclass(frozen=True, slots=True)
class _Entry:
    hit: Hit
    text: str
    quote: str

    @property
    def truncated(self) -> bool:
        return self.text != self.quote


def assemble(
    hits: Sequence[Hit],
    budget_tokens: int,
    shape: ContextShape,
    counter: TokenCounter,
    tiers: Mapping[str, str] = MappingProxyType({}),
) -> ContextReply:
    """Return the block of evidence for hits that come best first; `tiers` are those of documents, by their ids.

    The same text twice is given once. What matters most is taken first and stands first, and within a tier what ranks
    best. A passage that does not fit is left out and the next one tried; only the first one is shortened when nothing else
    would be left, and then says so.
    """
    distinct = list({hit.passage.text: hit for hit in reversed(hits)}.values())[::-1]
    distinct.sort(key=lambda hit: _tier(hit, tiers))
    titles = _GAP.join(_titled(kind) for kind in _KINDS) if shape.template == "sections" else ""
    chosen: list[_Entry] = []
    used = count_tokens(titles, counter) if titles else 0
    for hit in distinct:
        cost = count_tokens(_rendered(len(distinct), hit, hit.passage.text), counter)
        if used + cost <= budget_tokens:
            chosen.append(_Entry(hit, hit.passage.text, hit.passage.text))
            used += cost
    if not chosen and distinct:
        chosen = _shortened(distinct[0], budget_tokens - used, counter)
    left_out = len(distinct) - len(chosen)
    placed = _at_edges(chosen) if shape.placement == "edges" else chosen
    if shape.template == "sections":
        placed = sorted(placed, key=lambda entry: _KINDS.index(info_type(entry.hit.passage.source)))
    text = _text(placed, shape)
    return ContextReply(
        text=text,
        citations=tuple(_citation(index, entry) for index, entry in enumerate(placed, start=1)),
        tokens=count_tokens(text, counter),
        left_out=left_out,
    )


def _text(placed: Sequence[_Entry], shape: ContextShape) -> str:
    parts: list[str] = []
    kind: InfoType | None = None
    for index, entry in enumerate(placed, start=1):
        if shape.template == "sections" and kind != info_type(entry.hit.passage.source):
            kind = info_type(entry.hit.passage.source)
            parts.append(_titled(kind))
        parts.append(_rendered(index, entry.hit, entry.text))
    return _GAP.join(parts)


def _tier(hit: Hit, tiers: Mapping[str, str]) -> int:
    said = tiers.get(hit.passage.document_id, "")
    return TIERS.index(said) if said in TIERS else TIERS.index("task")


def info_type(source: str) -> InfoType:
    """Return what kind of evidence a document is, by the ending of its name."""
    ending = PurePosixPath(source.lower()).suffix
    if ending in _IMAGES:
        return "images"
    return "tables" if ending in _TABLES else "code" if ending in _CODE else "documents"


def _titled(kind: InfoType) -> str:
    return f"Relevant {kind}:"


def _rendered(index: int, hit: Hit, text: str) -> str:
    source = hit.passage.source if not hit.passage.heading else f"{hit.passage.source} — {hit.passage.heading}"
    return f"[{index}] {source}\n{text}"


def _shortened(best: Hit, budget_tokens: int, counter: TokenCounter) -> list[_Entry]:
    room = budget_tokens - count_tokens(_rendered(1, best, CUT_NOTE), counter)
    end = 0
    for word in counter.words(best.passage.text):
        room -= word.tokens
        if room < 0:
            break
        end = word.end
    return [_Entry(best, best.passage.text[:end] + CUT_NOTE, best.passage.text[:end])] if end else []


def _at_edges(entries: Sequence[_Entry]) -> list[_Entry]:
    # Models read the beginning and the end of a long context best: ranks 1, 3, 5 … come first, … 6, 4, 2 last.
    return [*entries[::2], *reversed(entries[1::2])]


def _citation(index: int, entry: _Entry) -> Citation:
    passage = entry.hit.passage
    return Citation(
        index=index,
        chunk_id=passage.chunk_id,
        document_id=passage.document_id,
        vector_store_id=passage.store_id,
        source=passage.source,
        heading=passage.heading,
        score=entry.hit.score,
        truncated=entry.truncated,
        start=passage.start,
        end=passage.start + len(entry.quote),
        quote=entry.quote,
        time=time_of(passage.heading),
    )
