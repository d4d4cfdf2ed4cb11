"""Chunking: what every strategy must hold, on made-up texts and with the real tokenizer."""

import itertools
import re
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluice.contracts.retrieval import ChunkingOptions, ChunkingStrategy
from sluice.minilm.files import find_model_files
from sluice_retrieval.adapters.minilm import MiniLmCounter, MiniLmEmbedder, open_tokenizer
from sluice_retrieval.domain.chunking import Chunk, chunk_document, document_sections, effective
from sluice_retrieval.domain.sections import markdown_sections
from sluice_retrieval.domain.sentences import sentence_starts
from sluice_retrieval.domain.tokens import TokenCounter, Word, count_tokens
from sluice_retrieval.domain.topics import topic_breaks

GUIDE = """# Guide

## Install

Use pip. It takes a minute. Then start it.

```sh
pip install sluice

sluice up
```

| port | service |
| ---- | ------- |
| 8080 | gateway |

### On a Mac

Nothing else is needed.

## Empty

## Use

- first point
- second point
"""


class LetterCounter:
    """Words between spaces; a token for every four letters begun."""

    def words(self, text: str) -> list[Word]:
        return [Word(m.start(), m.end(), -(-len(m.group()) // 4)) for m in re.finditer(r"\S+", text)]


@pytest.fixture(scope="module")
def real_counter() -> MiniLmCounter:
    return MiniLmCounter(open_tokenizer(find_model_files()))


words = st.text(st.sampled_from("abcdefgh"), min_size=1, max_size=12)
marks = st.sampled_from(
    [" ", ". ", "\n", "\n\n", "! ", "? ", "\n- ", "\n# ", "\n## ", "\n```\n", "。", "\t", "\r\n", "\f", "e.g. "]
)
made_up = st.lists(st.tuples(words, marks), min_size=1, max_size=60).map(
    lambda pairs: "".join(word + mark for word, mark in pairs)
)
options = st.builds(
    ChunkingOptions,
    strategy=st.sampled_from(get_args(ChunkingStrategy)),
    max_tokens=st.integers(16, 40),
    overlap_tokens=st.integers(0, 256),
)
media_types = st.sampled_from(["text/plain", "text/markdown"])


def check_chunks(text: str, chunks: list[Chunk], chosen: ChunkingOptions, counter: TokenCounter) -> None:
    covered: set[int] = set()
    for index, chunk in enumerate(chunks):
        assert chunk.index == index
        assert chunk.text == text[chunk.start : chunk.end]
        assert chunk.text.strip()
        assert chunk.tokens == count_tokens(chunk.text, counter)
        assert chunk.tokens <= chosen.max_tokens
        covered.update(range(chunk.start, chunk.end))
    for word in counter.words(text):
        assert covered.issuperset(range(word.start, word.end)), (text[word.start : word.end], chunks)


@given(made_up, options, media_types)
def test_every_word_is_in_a_chunk_and_no_chunk_is_too_long(text: str, chosen: ChunkingOptions, media_type: str) -> None:
    counter = LetterCounter()
    breaks = sentence_starts(text, 0, len(text)) if len(text) % 2 else ()
    check_chunks(text, list(chunk_document(text, media_type, chosen, counter, tuple(breaks))), chosen, counter)


@settings(max_examples=150)
@given(st.one_of(st.text(max_size=600), made_up), options, media_types)
def test_the_same_holds_for_any_text_with_the_real_tokenizer(
    real_counter: MiniLmCounter, text: str, chosen: ChunkingOptions, media_type: str
) -> None:
    check_chunks(text, list(chunk_document(text, media_type, chosen, real_counter)), chosen, real_counter)


@settings(deadline=None)
@given(
    st.one_of(
        st.text(st.characters(max_codepoint=127), max_size=300),
        st.lists(st.sampled_from(["don't", "[CLS]", "x_y", "3.14", "UNAFFABLE", "a" * 120, "b" * 1500, " ", "\n"])).map(
            "".join
        ),
    )
)
def test_counting_plain_text_quickly_gives_what_the_tokenizer_gives(real_counter: MiniLmCounter, text: str) -> None:
    words = real_counter.words(text)
    encoding = real_counter.tokenizer.encode(text, add_special_tokens=False)
    if max((word.end - word.start for word in words), default=0) < 500:
        assert sum(word.tokens for word in words) == len(encoding.ids)
    first_of_word = {
        place for place, start in zip(encoding.word_ids, encoding.offsets, strict=True) if start is not None
    }
    assert len(words) >= len(first_of_word)
    covered = {at for word in words for at in range(word.start, word.end)}
    assert covered >= {at for start, end in encoding.offsets for at in range(start, end)}


@given(made_up, st.sampled_from(["paragraph", "semantic", "code", "rows"]))
def test_chunks_of_whole_things_do_not_overlap(text: str, strategy: ChunkingStrategy) -> None:
    chosen = ChunkingOptions(strategy=strategy, max_tokens=16, overlap_tokens=8)
    chunks = list(chunk_document(text, "text/plain", chosen, LetterCounter()))
    assert all(left.end <= right.start for left, right in itertools.pairwise(chunks))


@given(made_up, media_types)
def test_sections_hold_every_character(text: str, media_type: str) -> None:
    sections = document_sections(text, media_type, "paragraph" if len(text) % 2 else "code")
    blocks = [block for section in sections for block in section.blocks]
    assert [block.start for block in blocks] == [0, *(block.end for block in blocks[:-1])]
    assert blocks[-1].end == len(text)


def test_fixed_windows_overlap_by_tokens() -> None:
    text = " ".join(f"w{number:03d}" for number in range(100))
    chosen = ChunkingOptions(strategy="fixed", max_tokens=20, overlap_tokens=5)
    chunks = list(chunk_document(text, "text/plain", chosen, LetterCounter()))
    assert [chunk.text.split()[0] for chunk in chunks] == ["w000", "w015", "w030", "w045", "w060", "w075", "w090"][
        : len(chunks)
    ]
    assert all(chunk.tokens == 20 for chunk in chunks[:-1])
    assert chunks[-1].text.endswith("w099")


def test_the_handbooks_512_and_50_are_possible(real_counter: MiniLmCounter) -> None:
    text = "The gateway forwards requests to an engine. " * 200
    chosen = ChunkingOptions(strategy="fixed", max_tokens=512, overlap_tokens=50)
    first, second, *_ = chunk_document(text, "text/plain", chosen, real_counter)
    assert first.tokens == 512
    assert count_tokens(text[second.start : first.end], real_counter) == 50


def test_sentence_chunks_repeat_one_or_two_whole_sentences() -> None:
    sentences = [f"Sentence {number} tells a bit." for number in range(12)]
    text = " ".join(sentences)
    chosen = ChunkingOptions(strategy="sentence", max_tokens=30, overlap_tokens=15)
    chunks = list(chunk_document(text, "text/plain", chosen, LetterCounter()))
    assert len(chunks) > 2
    for left, right in itertools.pairwise(chunks):
        shared = text[right.start : left.end]
        assert 1 <= shared.count("Sentence") <= 2
        assert shared.startswith("Sentence")
        assert shared.endswith(".")


def test_paragraph_chunks_end_where_paragraphs_end() -> None:
    text = "\n\n".join(f"Paragraph {number} has a handful of words." for number in range(10))
    chosen = ChunkingOptions(strategy="paragraph", max_tokens=40)
    chunks = list(chunk_document(text, "text/plain", chosen, LetterCounter()))
    assert 1 < len(chunks) < 10
    assert all(chunk.text.startswith("Paragraph") and chunk.text.endswith("words.") for chunk in chunks)


def test_markdown_gives_breadcrumbs_and_keeps_code_and_tables_whole() -> None:
    chunks = list(chunk_document(GUIDE, "text/markdown", ChunkingOptions(max_tokens=30), LetterCounter()))
    headings = list(dict.fromkeys(chunk.heading for chunk in chunks))
    assert headings == ["Guide > Install", "Guide > Install > On a Mac", "Guide > Use"]
    assert chunks[0].text.startswith("# Guide")
    assert any("```sh\npip install sluice\n\nsluice up\n```" in chunk.text for chunk in chunks)
    assert any("| port | service |" in chunk.text and "| 8080 | gateway |" in chunk.text for chunk in chunks)
    assert chunks[-1].text.startswith("## Empty")
    assert chunks[0].embedded_text().startswith("Guide > Install\n# Guide")


PROGRAM = """import os

LIMIT = 5


# Opens a door.
@traced
def open_door(name):
    if name:

        return name
    return None


class House:
    rooms = 3

    def enter(self):
        open_door("front")

    async def leave(self):
        pass
"""


def cut(text: str, **options: object) -> list[Chunk]:
    return list(chunk_document(text, "text/plain", ChunkingOptions.model_validate(options), LetterCounter()))


def test_code_is_cut_at_definitions_with_their_comments() -> None:
    chunks = cut(PROGRAM, strategy="code")
    assert [(chunk.heading, chunk.text.split()[0]) for chunk in chunks] == [
        (None, "import"),
        ("def open_door(name)", "#"),
        ("class House", "class"),
    ]
    assert chunks[1].text.endswith("return None")


def test_a_long_class_is_opened_and_its_methods_name_it() -> None:
    methods = "".join(f"    def step_{n}(self):\n        return {'x + ' * 60}1\n\n" for n in range(10))
    chunks = cut(f"class Machine:\n    speed = 1\n\n{methods}", strategy="code")
    assert [chunk.heading for chunk in chunks[:3]] == [
        "class Machine",
        "class Machine > def step_0(self)",
        "class Machine > def step_1(self)",
    ]
    assert chunks[1].text.startswith("def step_0")
    braces = "int first(int a) {\n    if (a) {\n        a++;\n    }\n}\n\nint second(int b) {\n    return b;\n}\n"
    assert [chunk.heading for chunk in cut(braces, strategy="code")] == ["int first(int a)", "int second(int b)"]


def test_recursive_chunks_split_only_what_is_too_long_and_overlap() -> None:
    long = " ".join(f"word{n:03d}" for n in range(40))
    chunks = cut(f"One short line.\nA second one.\n\n{long}", strategy="recursive", max_tokens=24, overlap_tokens=8)
    assert chunks[0].text == "One short line.\nA second one."
    assert chunks[1].text.startswith("word000")
    lines = "\n".join(f"line {n:02d} ends here" for n in range(12))
    chunks = cut(lines, strategy="recursive", max_tokens=20, overlap_tokens=5)
    assert chunks[1].text.splitlines()[0] == chunks[0].text.splitlines()[-1]
    assert all(chunk.text.startswith("line") for chunk in chunks)


def test_semantic_chunks_end_where_the_topic_does_and_never_grow_past_the_maximum() -> None:
    text = "Cats purr. Cats sleep. Cats hunt mice. Banks lend money. Banks take a fee. " * 1
    at = text.index("Banks lend")
    options = ChunkingOptions(strategy="semantic", max_tokens=64)
    chunks = list(chunk_document(text, "text/plain", options, LetterCounter(), (at,)))
    assert [chunk.text for chunk in chunks] == [
        "Cats purr. Cats sleep. Cats hunt mice.",
        "Banks lend money. Banks take a fee.",
    ]
    assert len(list(chunk_document(text * 9, "text/plain", options, LetterCounter()))) > 1


async def test_topics_are_found_by_meaning(embedder: MiniLmEmbedder) -> None:
    cats = "The cat purrs on the sofa. Kittens drink milk. A tomcat hunts mice at night. Whiskers help cats feel. "
    banks = "The bank raised its interest rate. Loans became dearer. Borrowers pay a fee each year. Savers earn more. "
    text = cats + banks
    sections = document_sections(text, "text/plain", "semantic")
    breaks = await topic_breaks(text, sections, embedder)
    assert [text[at:].split()[1] for at in breaks] == ["bank"]
    assert (
        await topic_breaks("One sentence.", document_sections("One sentence.", "text/plain", "semantic"), embedder)
        == []
    )


def test_each_row_is_a_chunk_of_its_own() -> None:
    text = "# Sheet Prices\n\nIn euros.\n\n- Item: Bolt; Euro: 2\n- Item: Nut; Euro: 1.5\n\nThat is all.\n"
    options = ChunkingOptions(strategy="rows")
    chunks = list(chunk_document(text, "text/markdown", options, LetterCounter()))
    assert [chunk.text for chunk in chunks] == [
        "# Sheet Prices\n\nIn euros.",
        "- Item: Bolt; Euro: 2",
        "- Item: Nut; Euro: 1.5",
        "That is all.",
    ]
    assert {chunk.heading for chunk in chunks} == {"Sheet Prices"}
    table = "| port | service |\n| ---- | ------- |\n| 8080 | gateway |\n| 8081 | router |\n"
    assert [chunk.text for chunk in chunk_document(table, "text/markdown", options, LetterCounter())][1:] == [
        "| 8080 | gateway |",
        "| 8081 | router |",
    ]


def test_code_that_is_too_long_is_cut_at_lines() -> None:
    code = "```py\n" + "\n".join(f"value_{number} = call({number})" for number in range(30)) + "\n```\n"
    chunks = list(chunk_document(code, "text/markdown", ChunkingOptions(max_tokens=24), LetterCounter()))
    assert len(chunks) > 3
    assert all(line.startswith(("value_", "```")) for chunk in chunks for line in chunk.text.splitlines())


def test_a_heading_is_not_left_alone_before_a_long_paragraph() -> None:
    text = "# Long story\n\n" + "It goes on and on. " * 30
    chunks = list(chunk_document(text, "text/markdown", ChunkingOptions(max_tokens=32), LetterCounter()))
    assert chunks[0].text.startswith("# Long story\n\nIt goes on")


def test_a_hash_in_a_quote_or_code_is_no_heading() -> None:
    text = "> # quoted\n\n```\n# code\n```\n\n# Real\n\nbody\n"
    assert [section.path for section in markdown_sections(text)] == [(), ("Real",)]


def test_front_matter_is_no_heading() -> None:
    assert [section.path for section in markdown_sections("---\ntitle: x\n---\n# Real\n\nbody\n")] == [(), ("Real",)]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("One. Two! Three? Four", 4),
        ("See e.g. the guide. Then go.", 2),
        ("Dr. Smith and J. Doe agree. So do we.", 2),
        ("Version 1.2 is out. It is fast.", 2),
        ("He said “Go.” Then he left.", 2),
        ("一つ。二つ。三つ", 3),
        ("- one\n- two\n- three", 3),
        ("It costs approx. 5 euros.", 1),
    ],
)
def test_sentences(text: str, count: int) -> None:
    assert len(list(sentence_starts(text, 0, len(text)))) == count


def test_a_very_long_word_is_split_and_covered(real_counter: MiniLmCounter) -> None:
    text = "before " + "x" * 5200 + " after"
    chunks = list(chunk_document(text, "text/plain", ChunkingOptions(max_tokens=16), real_counter))
    assert "".join(chunk.text for chunk in chunks).count("x") == 5200
    assert all(chunk.tokens <= 16 for chunk in chunks)


def test_overlap_is_at_most_half_a_chunk() -> None:
    assert effective(ChunkingOptions(max_tokens=20, overlap_tokens=200)).overlap_tokens == 10


def test_a_text_without_words_has_no_chunks() -> None:
    assert not list(chunk_document("  \n\n ", "text/markdown", ChunkingOptions(), LetterCounter()))
