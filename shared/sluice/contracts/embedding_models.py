"""The embedding models of the retrieval service, and how far a change from one to another is."""

from typing import Annotated, Literal

from pydantic import Field

from sluice.contracts.base import Reply


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
