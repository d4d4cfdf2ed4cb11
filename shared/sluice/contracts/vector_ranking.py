"""How a vector store compares vectors and weighs words."""

from typing import Annotated, Literal

from pydantic import Field

VectorMetric = Literal["cosine", "dotproduct", "euclidean"]
KeywordWeighting = Literal["bm25", "tfidf"]

METRIC = (
    "how vectors are compared, fixed for the store's life: cosine (-1 to 1), dotproduct (any number; lengths count), or euclidean, "
    "whose distance d (0 and more) scores 1 / (1 + d)"
)
KEYWORDS = "how words are weighed, fixed for the store's life: bm25, or tfidf (tf × ln(N / df))"

MetricChoice = Annotated[VectorMetric, Field(description=METRIC)]
KeywordsChoice = Annotated[KeywordWeighting, Field(description=KEYWORDS)]
CaptionsChoice = Annotated[
    bool,
    Field(
        description="let the models that describe images and write down recordings, where they are configured, see and hear what is in the store"
    ),
]
