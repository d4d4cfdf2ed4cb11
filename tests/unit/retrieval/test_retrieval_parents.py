"""Parent–child expansion: what surrounds a chunk is given in its place, exactly, once, and within its room."""

import re
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from sluice.contracts.searching import ParentExpansion
from sluice_retrieval.domain.parents import Around, expanded
from sluice_retrieval.domain.points import Passage
from sluice_retrieval.domain.search import Hit, Place
from sluice_retrieval.domain.tokens import Word

GUIDE = """# Guide

Welcome.

## Hours

The office opens at 7:30. It is closed on Sundays.

Ring the bell at night.

### Holidays

Closed on Christmas Day.

## Fees

Fourteen euros per night.

- Boat: 8 m; Euro: 14
- Boat: 12 m; Euro: 21
"""


class Words:
    """One token for each word."""

    def words(self, text: str) -> Sequence[Word]:
        return [Word(match.start(), match.end(), 1) for match in re.finditer(r"\S+", text)]


def hit(text: str, quote: str, document: str = "doc_1", score: float = 1.0) -> Hit:
    start = text.index(quote)
    passage = Passage(f"{document}.{start}", document, "vs_1", "guide.md", None, quote, start, start + len(quote))
    return Hit(passage, score, {}, Place(1, score))


async def widened(
    text: str, hits: Sequence[Hit], tokens: int, within: str = "section", headed: Sequence[str] = ("doc_1",)
) -> list[Hit]:
    async def read(one: Hit, start: int, length: int) -> Around | None:
        return Around(text[start : start + length], start, start + length >= len(text))

    wish = ParentExpansion.model_validate({"within": within, "max_tokens": tokens})
    found = await expanded(hits, wish, read, Words(), frozenset(headed))
    for one in found:
        assert text[one.passage.start : one.passage.end] == one.passage.text
        assert len(one.passage.text.split()) <= max(tokens, *(len(hit.passage.text.split()) for hit in hits))
    return found


async def test_a_chunk_grows_to_its_section_with_what_is_under_it() -> None:
    [bell] = await widened(GUIDE, [hit(GUIDE, "Ring the bell at night.")], 200)
    assert bell.passage.text.startswith("## Hours")
    assert bell.passage.text.endswith("Closed on Christmas Day.")
    [holiday] = await widened(GUIDE, [hit(GUIDE, "Closed on Christmas Day.")], 200)
    assert holiday.passage.text == "### Holidays\n\nClosed on Christmas Day."
    [whole] = await widened(GUIDE, [hit(GUIDE, "Ring the bell at night.")], 200, "document")
    assert whole.passage.text == GUIDE.rstrip()
    [code] = await widened(GUIDE, [hit(GUIDE, "Ring the bell at night.")], 200, headed=())
    assert code.passage.text == GUIDE.rstrip(), "a # begins no heading in plain text"


async def test_what_does_not_fit_whole_is_taken_by_sentences() -> None:
    [bell] = await widened(GUIDE, [hit(GUIDE, "Ring the bell at night.")], 16)
    assert bell.passage.text == "The office opens at 7:30. It is closed on Sundays.\n\nRing the bell at night."
    [boat] = await widened(GUIDE, [hit(GUIDE, "- Boat: 8 m; Euro: 14")], 16)
    assert boat.passage.text == "Fourteen euros per night.\n\n- Boat: 8 m; Euro: 14\n- Boat: 12 m; Euro: 21"
    [day] = await widened(GUIDE, [hit(GUIDE, "Closed on Christmas Day.")], 16, "document")
    assert day.passage.text == "Ring the bell at night.\n\n### Holidays\n\nClosed on Christmas Day."
    [alone] = await widened(GUIDE, [hit(GUIDE, GUIDE[: len(GUIDE) // 2])], 16)
    assert alone.passage.text == GUIDE[: len(GUIDE) // 2], "a chunk that fills the room stays as it is"
    long = " ".join(f"Sentence {number} stands here." for number in range(400))
    [inside] = await widened(long, [hit(long, "Sentence 200 stands here.")], 20, headed=())
    assert (
        inside.passage.text
        == "Sentence 198 stands here. Sentence 199 stands here. Sentence 200 stands here. Sentence 201 stands here. Sentence 202 stands here."
    )


async def test_nothing_is_given_twice() -> None:
    hits = [
        hit(GUIDE, "Ring the bell at night."),
        hit(GUIDE, "It is closed on Sundays.", score=0.5),
        hit(GUIDE, "- Boat: 8 m; Euro: 14", score=0.2),
    ]
    hours, fees = await widened(GUIDE, hits, 100)
    assert [(one.chunk_id, one.score) for one in hours.matched] == [
        (hits[0].passage.chunk_id, 1.0),
        (hits[1].passage.chunk_id, 0.5),
    ]
    assert fees.passage.text.startswith("## Fees")
    assert fees.passage.text.endswith("Euro: 21")
    other = hit(GUIDE, "It is closed on Sundays.", "doc_2")
    assert len(await widened(GUIDE, [hits[0], other], 100)) == 2, "another document has a parent of its own"


@given(
    st.lists(
        st.sampled_from(["# Head", "One two three. Four five.", "- a: b", "word", "Ein Satz! Noch einer."]),
        min_size=1,
        max_size=30,
    ),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 60)), min_size=1, max_size=6),
    st.integers(16, 60),
    st.sampled_from(["section", "document"]),
)
async def test_parents_are_exact_disjoint_and_within_their_room(
    blocks: list[str], places: list[tuple[int, int]], tokens: int, within: str
) -> None:
    text = "\n\n".join(blocks)
    hits = []
    for at, length in places:
        start = at % len(text)
        quote = text[start : start + length]
        passage = Passage(f"c{start}.{length}", "doc_1", "vs_1", "x.md", None, quote, start, start + len(quote))
        hits.append(Hit(passage, 1.0, {}, Place(1, 1.0)))
    found = await widened(text, hits, tokens, within)
    assert sorted(one.chunk_id for hit in found for one in hit.matched) == sorted(one.passage.chunk_id for one in hits)
    for one in found:
        own = one.matched[0]
        for other in found:
            if other is not one:  # what was added to a chunk is nobody else's
                kept = range(max(one.passage.start, other.passage.start), min(one.passage.end, other.passage.end))
                assert all(
                    own.start <= at < own.end or other.matched[0].start <= at < other.matched[0].end for at in kept
                )
