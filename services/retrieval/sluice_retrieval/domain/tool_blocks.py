"""What tools gave, as blocks of a context (F264)."""

from collections.abc import Sequence
from typing import NamedTuple

from sluice.contracts.enhanced import GivenOutput, ToolOutput
from sluice_retrieval.domain.tokens import TokenCounter, count_tokens

CUT = "… [cut]"
_LEAST = 16


class ToolBlocks(NamedTuple):
    """Blocks of what tools gave, their tokens, and what each still holds."""

    text: str
    tokens: int
    given: tuple[GivenOutput, ...]


def tool_blocks(outputs: Sequence[ToolOutput], budget_tokens: int, counter: TokenCounter) -> ToolBlocks:
    """Return blocks that take half of the budget at most, so that evidence has room.

    What does not fit whole is cut after a word and says so; what would be left with fewer than 16 tokens is left out.
    """
    room = budget_tokens // 2
    blocks: list[str] = []
    given: list[GivenOutput] = []
    for output in outputs:
        title = f"Information from {output.tool}:\n"
        left = room - count_tokens(title, counter)
        if left < _LEAST:
            continue
        content = _fitting(output.content, left, counter)
        given.append(GivenOutput(tool=output.tool, content=content, truncated=content != output.content))
        blocks.append(title + content)
        room = left - count_tokens(content, counter)
    return ToolBlocks("\n\n".join(blocks), budget_tokens // 2 - room, tuple(given))


def _fitting(content: str, room: int, counter: TokenCounter) -> str:
    words = counter.words(content)
    if sum(word.tokens for word in words) <= room:
        return content
    room -= count_tokens(CUT, counter)
    end = 0
    for word in words:
        room -= word.tokens
        if room < 0:
            break
        end = word.end
    return content[:end] + CUT
