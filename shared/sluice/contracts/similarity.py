"""How alike texts or vectors are, measured by a metric of the vector stores."""

from typing import Annotated, Literal

from pydantic import Field

from sluice.contracts.base import Reply, Request
from sluice.contracts.vector_ranking import MetricChoice, VectorMetric

_Text = Annotated[str, Field(min_length=1, max_length=200_000)]
_Vector = Annotated[tuple[Annotated[float, Field(allow_inf_nan=False)], ...], Field(min_length=1, max_length=65_536)]


class SimilarityRequest(Request):
    """One text or vector, and those to compare it with; texts are embedded by `model`, or by the model in use."""

    source: _Text | _Vector
    targets: Annotated[tuple[_Text | _Vector, ...], Field(min_length=1, max_length=1000)]
    metric: MetricChoice = "cosine"
    model: Annotated[str | None, Field(max_length=200, description="an embedding model; null: the one in use")] = None


class Similarity(Reply):
    """How alike the target at `index` is."""

    object: Literal["similarity"] = "similarity"
    index: int
    score: Annotated[float, Field(description="the more the more alike: see the metric")]
    distance: Annotated[float | None, Field(description="what was measured if the metric is euclidean")] = None


class SimilarityReply(Reply):
    """One entry for each target, in their order; `model` is null where nothing was embedded."""

    object: Literal["list"] = "list"
    data: tuple[Similarity, ...]
    metric: VectorMetric
    model: str | None = None
    prompt_tokens: int = 0
