"""A conversation made short: the messages of the user as they are, and a summary of all else, sealed.

What is asked for it, what comes of it, and how it goes on from there. See docs/reference/responses.md.
"""

from collections.abc import Callable, Iterable
from typing import Protocol

from sluice_gateway.domain.responses import Item

KIND = "compaction"
PROMPT = (
    "Summarise the conversation above so that you can go on from your summary alone. The user's messages are kept word for word "
    "beside it: do not repeat them. Keep what was found out and decided, what tools gave, with names, numbers, paths and ids exactly as they "
    "stand, what is done, what is still to be done, and what the user wants you to keep to. Write nothing but the summary."
)
_LEAD = "Summary of the conversation so far:\n\n"


class Compactions(Protocol):
    """Seals summaries for the tenant whose conversation they are of, and opens them again."""

    def seal(self, summary: str, tenant: str) -> str:
        """Return a summary that nobody else can read."""
        ...

    def open(self, content: str, tenant: str) -> str | None:
        """Return the summary, None if `content` was sealed elsewhere.

        Raises:
            SealBroken: it was sealed here, and altered or for another tenant.
        """
        ...


class SealBroken(Exception):
    """What was sealed here does not open."""


def opened(items: Iterable[Item], open_one: Callable[[str], str | None]) -> list[Item]:
    """Return the items of a conversation with its summaries as messages of the assistant; those of providers stay as they are."""
    found = []
    for item in items:
        content = item.get("encrypted_content") if item.get("type") == KIND else None
        summary = open_one(content) if isinstance(content, str) else None
        if summary is not None:
            part: Item = {"type": "output_text", "text": _LEAD + summary, "annotations": []}
            item = {"type": "message", "role": "assistant", "content": [part]}
        found.append(item)
    return found


def asking(items: list[Item]) -> list[Item]:
    """Return the input of the request that has a conversation summarised."""
    return [*items, {"type": "message", "role": "user", "content": [{"type": "input_text", "text": PROMPT}]}]


def kept(items: Iterable[Item]) -> list[Item]:
    """Return what is kept of a conversation as it is: the messages of the user."""
    return [
        {**item, "status": "completed"}
        for item in items
        if item.get("type", "message") == "message" and item.get("role") == "user"
    ]
