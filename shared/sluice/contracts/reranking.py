"""Ranking texts for a question, in the shape that Cohere's, Jina's and vLLM's clients share."""

from typing import Annotated

from pydantic import ConfigDict, Field, StrictStr

from sluice.contracts.base import Reply, Request


class RerankDocument(Request):
    """A document as an object; other fields are passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    text: StrictStr


class RerankRequest(Request):
    """Rank documents by how well they answer a question; fields that are not named here are passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    model: Annotated[str, Field(max_length=200)]
    query: Annotated[str, Field(min_length=1, max_length=20_000)]
    documents: Annotated[tuple[StrictStr | RerankDocument, ...], Field(min_length=1, max_length=1000)]
    top_n: Annotated[int, Field(ge=1)] | None = None


class RerankResult(Reply):
    """The document at `index`, and how well it fits: 0 to 1, comparable only inside one answer."""

    index: int
    relevance_score: float


class RerankUsage(Reply):
    """What the embedding model read, special tokens included."""

    prompt_tokens: int
    total_tokens: int


class RerankReply(Reply):
    """Best documents first."""

    model: str
    results: tuple[RerankResult, ...]
    usage: RerankUsage
