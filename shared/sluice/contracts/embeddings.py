"""Embeddings in OpenAI's shape, the models that make them, and how far a change from one model to another is."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from sluice.contracts.base import Reply, Request


class EmbeddingRequest(Request):
    """OpenAI's shape of an embeddings request; fields that it does not name are passed over.

    Texts only: arrays of token ids belong to another model's tokenizer and are refused.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    model: str
    input: str | tuple[str, ...] | tuple[int, ...] | tuple[tuple[int, ...], ...]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None
    user: str | None = None


class EmbeddingReplyItem(Reply):
    """One vector: numbers, or base64 of little-endian 32-bit floats."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: tuple[float, ...] | str


class EmbeddingUsage(Reply):
    """What the embedding model read, special tokens included."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingReply(Reply):
    """OpenAI's shape of an embeddings answer."""

    object: Literal["list"] = "list"
    data: tuple[EmbeddingReplyItem, ...]
    model: str
    usage: EmbeddingUsage


class EmbeddingModel(Reply):
    """A model that `POST /v1/embeddings` can name.

    `active`: searches are answered by its vectors. `building`: documents are embedded by it while another still answers.
    `retiring`: it answered until lately, and its vectors are about to be removed. `available`: no vectors of it are stored.
    """

    id: str
    object: Literal["embedding_model"] = "embedding_model"
    dimensions: int
    status: Literal["active", "building", "retiring", "available"]
    since: Annotated[int | None, Field(description="unix seconds of the last change of its status")] = None
    progress: Annotated[
        float | None, Field(ge=0, le=1, description="of all ready documents, how many have vectors of it")
    ] = None
    documents: Annotated[int | None, Field(description="as a number, of all tenants: for administrators")] = None
    documents_total: Annotated[int | None, Field(description="ready documents of all tenants, likewise")] = None
    error: Annotated[str | None, Field(description="why a change does not get on, likewise")] = None


class EmbeddingModels(Reply):
    """All embedding models."""

    object: Literal["list"] = "list"
    data: tuple[EmbeddingModel, ...]
