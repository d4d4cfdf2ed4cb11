"""How alike texts or vectors are (F063)."""

import asyncio
from collections.abc import Sequence

from fastapi import APIRouter

from sluice.auth import CallerDep
from sluice.contracts.similarity import Similarity, SimilarityReply, SimilarityRequest
from sluice.errors import DependencyUnavailable, Unauthorized, problem_responses
from sluice_retrieval.domain.embedding import Embedder, OfTenant
from sluice_retrieval.domain.errors import EmbeddingInputInvalid, EmbeddingModelUnknown
from sluice_retrieval.domain.metrics import distance_of, likeness
from sluice_retrieval.domain.openai import EmbeddingLimits, check_tokens, lane_of
from sluice_retrieval.domain.spaces import model_in
from sluice_retrieval.wiring import DepsDep

router = APIRouter(
    tags=["embeddings"],
    responses=problem_responses(Unauthorized, EmbeddingModelUnknown, EmbeddingInputInvalid, DependencyUnavailable),
)
Vector = Sequence[float]


@router.post("/v1/similarity", summary="Compare texts or vectors")
async def similarity(body: SimilarityRequest, caller: CallerDep, deps: DepsDep) -> SimilarityReply:
    """Return how alike each target is to the source: by cosine (-1 to 1), dot product, or Euclidean distance as 1 / (1 + distance)."""
    given = (body.source, *body.targets)
    texts = list(dict.fromkeys(one for one in given if isinstance(one, str)))
    model = body.model or model_in(deps.answering.now.id)[0]
    embedder = deps.models.named(model)
    known: dict[str, Vector] = {}
    tokens = 0
    if texts:
        known, tokens = await _embedded(texts, OfTenant(embedder, caller.tenant), deps.limits(model))
    source, *targets = (known[one] if isinstance(one, str) else one for one in given)
    scores = [likeness(body.metric, source, target) for target in targets]
    return SimilarityReply(
        data=tuple(
            Similarity(index=at, score=score, distance=distance_of(score) if body.metric == "euclidean" else None)
            for at, score in enumerate(scores)
        ),
        metric=body.metric,
        model=model if texts else None,
        prompt_tokens=tokens,
    )


async def _embedded(texts: Sequence[str], embedder: Embedder, limits: EmbeddingLimits) -> tuple[dict[str, Vector], int]:
    if sum(map(len, texts)) > limits.max_tokens:
        await asyncio.to_thread(check_tokens, texts, limits, embedder.counter)
    found = await embedder.embed(texts, lane_of(texts))
    return dict(zip(texts, found.vectors, strict=True)), found.tokens
