"""What is known of an end user, as a block of a context."""

from collections.abc import Sequence
from typing import NamedTuple

from sluice.contracts.memories import FoundMemory
from sluice_retrieval.domain.tokens import TokenCounter, count_tokens

TITLE = "Relevant memories:"


class MemoryBlock(NamedTuple):
    """The block, its tokens, and the memories that stand in it."""

    text: str
    tokens: int
    given: tuple[FoundMemory, ...]


def memory_block(found: Sequence[FoundMemory], room: int, counter: TokenCounter) -> MemoryBlock:
    """Return the memories that fit into so many tokens, best first, each whole or not at all; empty where none does."""
    lines, given = [TITLE], []
    used = count_tokens(TITLE, counter)
    for one in found:
        line = f"- ({one.memory.kind}) {' '.join(one.memory.content.split())}"
        tokens = count_tokens(line, counter)
        if used + tokens <= room:
            lines.append(line)
            given.append(one)
            used += tokens
    return MemoryBlock("\n".join(lines), used, tuple(given)) if given else MemoryBlock("", 0, ())
