"""Ranking texts for a question, without a store and without a model of others (F133, F147)."""

import asyncio

from fastapi import APIRouter

from sluice.auth import CallerDep
from sluice.contracts.reranking import RerankReply, RerankRequest, RerankResult, RerankUsage
from sluice_retrieval.domain.bm25 import Bm25Parameters
from sluice_retrieval.domain.embedding import OfTenant
from sluice_retrieval.domain.errors import EmbeddingInputInvalid, EmbeddingModelUnknown
from sluice_retrieval.domain.openai import check_tokens, lane_of
from sluice_retrieval.domain.rerank import FEATURES
from sluice_retrieval.domain.spaces import model_in
from sluice_retrieval.domain.text_ranking import candidates_of
from sluice_retrieval.routes.embeddings import OpenAIErrorRoute
from sluice_retrieval.wiring import DepsDep

router = APIRouter(
    prefix="/v1",
    tags=["search"],
    route_class=OpenAIErrorRoute,
    responses={
        status: {"description": "An error in OpenAI's shape", "content": {"application/json": {}}}
        for status in (400, 401, 404, 422)
    },
)


@router.post("/rerank", summary="Rank texts")
async def rerank(body: RerankRequest, caller: CallerDep, deps: DepsDep) -> RerankReply:
    """Return documents ranked by the features that searches rerank by: words, their nearness, and likeness by the embedding model."""
    if body.model != FEATURES:
        raise EmbeddingModelUnknown(f"There is no reranking model {body.model!r} here. It is called {FEATURES!r}.")
    texts = [one if isinstance(one, str) else one.text for one in body.documents]
    if not body.query.strip() or not all(text.strip() for text in texts):
        raise EmbeddingInputInvalid("`query` and each of the documents must be a text that is not empty.")
    model = model_in(deps.answering.now.id)[0]
    embedder, limits = OfTenant(deps.models.named(model), caller.tenant), deps.limits(model)
    given = list(dict.fromkeys((body.query, *texts)))
    if sum(map(len, given)) > limits.max_tokens:
        await asyncio.to_thread(check_tokens, given, limits, embedder.counter)
    embedded = await embedder.embed(given, lane_of(given))
    known = dict(zip(given, embedded.vectors, strict=True))
    vectors = [known[text] for text in texts]
    bm25 = Bm25Parameters(deps.settings.bm25_k1, deps.settings.bm25_b)
    candidates = await asyncio.to_thread(candidates_of, body.query, texts, known[body.query], vectors, bm25)
    scores = (await deps.rerankers[FEATURES].rerank(body.query, candidates)).scores
    best = sorted(range(len(texts)), key=lambda at: -scores[at])[: body.top_n]
    return RerankReply(
        model=FEATURES,
        results=tuple(RerankResult(index=at, relevance_score=scores[at]) for at in best),
        usage=RerankUsage(prompt_tokens=embedded.tokens, total_tokens=embedded.tokens),
    )
