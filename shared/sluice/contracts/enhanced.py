"""What a context is made of beside evidence, and the context as an object of its parts."""

from typing import Annotated, Any, Literal

from pydantic import Field

from sluice.contracts.base import Reply, Request

EvidenceKind = Literal["text", "image"]
InfoType = Literal["documents", "tables", "code", "images"]


class ToolOutput(Request):
    """What a tool has answered; it stands in the block under "Information from {tool}:"."""

    tool: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\r\n]+$")]
    content: Annotated[str, Field(min_length=1, max_length=100_000)]


class RetrievedInfo(Reply):
    """One excerpt of the block: `index` is the number that it is cited by."""

    type: InfoType
    index: int
    source: str
    heading: str | None = None
    content: str
    score: float


class GivenOutput(Reply):
    """What a tool has answered, as far as the budget had room; `truncated` if it was cut."""

    tool: str
    content: str
    truncated: bool = False


class EnhancedContext(Reply):
    """A context as an object: the question, what was retrieved for it, what tools gave, and how it was made."""

    original_query: str
    retrieved_info: tuple[RetrievedInfo, ...]
    tool_outputs: tuple[GivenOutput, ...]
    metadata: Annotated[
        dict[str, Any],
        Field(description="`queries`, `tokens`, `budget_tokens`, `left_out`, `vector_store_ids`, `version`"),
    ]
