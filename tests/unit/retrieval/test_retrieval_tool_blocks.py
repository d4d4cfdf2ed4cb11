"""What tools gave in a context block: half of the budget at most, cut where it must be."""

import re
from collections.abc import Sequence

from sluice.contracts.enhanced import ToolOutput
from sluice.contracts.searching import Comparison, Compound
from sluice_retrieval.domain.images import among
from sluice_retrieval.domain.tokens import Word
from sluice_retrieval.domain.tool_blocks import CUT, tool_blocks


class Words:
    def words(self, text: str) -> Sequence[Word]:
        return [Word(found.start(), found.end(), 1) for found in re.finditer(r"\S+", text)]


def test_blocks_are_joined_by_blank_lines_in_their_order() -> None:
    made = tool_blocks([ToolOutput(tool="a", content="one two"), ToolOutput(tool="b", content="three")], 100, Words())
    assert made.text == "Information from a:\none two\n\nInformation from b:\nthree"
    assert made.tokens == len(made.text.split())


def test_what_does_not_fit_is_cut_and_says_so_and_the_rest_is_left_out() -> None:
    long = " ".join(f"w{number}" for number in range(100))
    made = tool_blocks([ToolOutput(tool="a", content=long), ToolOutput(tool="b", content=long)], 60, Words())
    (only,) = made.given
    assert only.truncated
    assert only.content.startswith("w0 w1")
    assert only.content.endswith(CUT)
    assert made.tokens <= 30
    assert not tool_blocks([ToolOutput(tool="a", content=long)], 20, Words()).given


def test_kinds_are_a_filter_on_media_types() -> None:
    year = Comparison(type="eq", key="year", value=2024)
    assert among(("text", "image"), year) == year
    assert among(("image", "text"), None) is None
    images = among(("image",), None)
    assert isinstance(images, Comparison)
    assert (images.type, images.key) == ("in", "document.media_type")
    texts = among(("text",), year)
    assert isinstance(texts, Compound)
    assert texts.filters[1] == year
    assert isinstance(texts.filters[0], Comparison)
    assert texts.filters[0].type == "nin"
