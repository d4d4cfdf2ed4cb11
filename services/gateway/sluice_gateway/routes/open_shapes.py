"""What the shapes of the request path share."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class Open(BaseModel):
    """A shape of OpenAI's API; fields that are not listed pass through to the provider."""

    model_config = ConfigDict(extra="allow")


class RetrievalOptions(BaseModel):
    """Answer with evidence from vector stores."""

    vector_store_ids: list[str]
    top_k: Annotated[int, Field(ge=1, le=50)] = 5
    mode: Literal["hybrid", "dense", "bm25"] = "hybrid"


class SluiceOptions(BaseModel):
    """What Sluice shall do with this request; never sent to the provider."""

    retrieval: RetrievalOptions | None = None
    policy: str | None = None
