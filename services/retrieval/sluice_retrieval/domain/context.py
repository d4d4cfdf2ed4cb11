"""The context block: numbered evidence with its sources, within a budget of tokens (F113)."""

from collections.abc import Sequence
from dataclasses import dataclass

from sluice.contracts.retrieval import Citation, ContextPlacement, ContextReply
from sluice_retrieval.domain.search import Hit
from sluice_retrieval.domain.tokens import TokenCounter, count_tokens

CUT_NOTE = " […] (cut to fit)"
_GAP = "\n\n"


@dataclass(frozen=True, slots=True)
class _Entry:
    hit: Hit
    text: str
    quote: str

    @property
    def truncated(self) -> bool:
        return self.text != self.quote


def assemble(
    hits: Sequence[Hit], budget_tokens: int, placement: ContextPlacement, counter: TokenCounter
) -> ContextReply:
    """Return the block of evidence for hits that come best first.

    The same text twice is given once. A passage that does not fit is left out and the next one tried; only the best one
    is shortened when nothing else would be left, and then says so.
    """
    distinct = list({hit.passage.text: hit for hit in reversed(hits)}.values())[::-1]
    chosen: list[_Entry] = []
    used = 0
    for hit in distinct:
        cost = count_tokens(_rendered(len(distinct), hit, hit.passage.text), counter)
        if used + cost <= budget_tokens:
            chosen.append(_Entry(hit, hit.passage.text, hit.passage.text))
            used += cost
    if not chosen and distinct:
        chosen = _shortened(distinct[0], budget_tokens, counter)
    left_out = len(distinct) - len(chosen)
    placed = _at_edges(chosen) if placement == "edges" else chosen
    parts = [_rendered(index, entry.hit, entry.text) for index, entry in enumerate(placed, start=1)]
    text = _GAP.join(parts)
    return ContextReply(
        text=text,
        citations=tuple(_citation(index, entry) for index, entry in enumerate(placed, start=1)),
        tokens=count_tokens(text, counter),
        left_out=left_out,
    )


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
    )
