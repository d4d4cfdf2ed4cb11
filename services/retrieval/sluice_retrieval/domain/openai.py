"""OpenAI's embeddings contract: what is accepted, and how vectors are written."""

import base64
import struct
from collections.abc import Sequence
from typing import Literal, NamedTuple

from sluice.contracts.embeddings import EmbeddingReply, EmbeddingReplyItem, EmbeddingRequest, EmbeddingUsage
from sluice_retrieval.domain.embedding import Embedded, Lane
from sluice_retrieval.domain.errors import EmbeddingInputInvalid
from sluice_retrieval.domain.tokens import TokenCounter, count_tokens

_QUERY_CHARS = 4000
_SPECIAL = 2


class EmbeddingLimits(NamedTuple):
    """What one request may ask for."""

    model: str
    dimensions: int
    max_inputs: int
    max_tokens: int


def texts_of(request: EmbeddingRequest, limits: EmbeddingLimits) -> tuple[str, ...]:
    """Return the texts to embed.

    Raises:
        EmbeddingInputInvalid: token arrays, empty texts, too many, or another number of dimensions.
    """
    if request.dimensions not in (None, limits.dimensions):
        raise EmbeddingInputInvalid(
            f"{limits.model} makes vectors of {limits.dimensions} numbers; leave `dimensions` out."
        )
    given = (request.input,) if isinstance(request.input, str) else request.input
    texts = tuple(item for item in given if isinstance(item, str))
    if len(texts) != len(given):
        raise EmbeddingInputInvalid("Token arrays are not accepted: token ids belong to one tokenizer. Send text.")
    if not texts or not all(texts):
        raise EmbeddingInputInvalid("`input` must be a text, or a list of texts, none of them empty.")
    if len(texts) > limits.max_inputs:
        raise EmbeddingInputInvalid(f"{len(texts)} inputs are too many; send at most {limits.max_inputs} at a time.")
    return texts


def check_tokens(texts: Sequence[str], limits: EmbeddingLimits, counter: TokenCounter) -> None:
    """Raise `EmbeddingInputInvalid` if the texts together have more tokens than one request may have."""
    tokens = 0
    for text in texts:
        tokens += _SPECIAL + count_tokens(text, counter)
        if tokens > limits.max_tokens:
            raise EmbeddingInputInvalid(
                f"The input has more than {limits.max_tokens} tokens; split it into several requests."
            )


def lane_of(texts: Sequence[str]) -> Lane:
    """Return the lane for a request: short ones do not wait behind long ones."""
    return "query" if sum(map(len, texts)) <= _QUERY_CHARS else "bulk"


def reply_of(embedded: Embedded, model: str, encoding: Literal["float", "base64"]) -> EmbeddingReply:
    """Return OpenAI's answer."""
    return EmbeddingReply(
        data=tuple(
            EmbeddingReplyItem(index=index, embedding=_base64(vector) if encoding == "base64" else vector)
            for index, vector in enumerate(embedded.vectors)
        ),
        model=model,
        usage=EmbeddingUsage(prompt_tokens=embedded.tokens, total_tokens=embedded.tokens),
    )


def _base64(vector: Sequence[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
