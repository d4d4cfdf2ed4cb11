"""The models that judge for a search: who ranks anew, and who rewrites questions."""

from contextlib import AsyncExitStack

from sluice.clients.http import AiohttpTransport
from sluice.contracts.searching import RerankMethod
from sluice_retrieval.domain.questions.rules import WithRules
from sluice_retrieval.domain.questions.understanding import Rewriter
from sluice_retrieval.domain.rerank import FeatureReranker, Reranker, WithFallback
from sluice_retrieval.metrics import Metrics
from sluice_retrieval.settings import RetrievalSettings


async def open_rerankers(
    settings: RetrievalSettings, metrics: Metrics, stack: AsyncExitStack
) -> dict[RerankMethod, Reranker]:
    """Return who can rank anew: features always, a cross-encoder where one is configured."""
    features = FeatureReranker()
    if not settings.rerank_url:
        return {"features": features}
    from sluice_retrieval.adapters.cross_encoder import CrossEncoder  # noqa: PLC0415 - only where a model ranks

    transport = AiohttpTransport()
    stack.push_async_callback(transport.close)
    model = CrossEncoder(
        transport,
        settings.rerank_url,
        settings.rerank_model,
        settings.rerank_api_key.get_secret_value(),
        settings.rerank_timeout_s,
    )
    return {"features": features, "model": WithFallback(model, features, metrics.rerank_failures.inc)}


def open_rewriter(settings: RetrievalSettings, metrics: Metrics, stack: AsyncExitStack) -> Rewriter | None:
    """Return the chat model that rewrites questions, if one is configured."""
    if not settings.rewrite_url:
        return None
    from sluice_retrieval.adapters.chat_rewriter import ChatRewriter  # noqa: PLC0415 - only where a model rewrites

    transport = AiohttpTransport()
    stack.push_async_callback(transport.close)
    model = ChatRewriter(
        transport,
        settings.rewrite_url,
        settings.rewrite_model,
        settings.rewrite_api_key.get_secret_value(),
        settings.rewrite_timeout_s,
    )
    return WithRules(model, metrics.rewrite_failures.inc)
