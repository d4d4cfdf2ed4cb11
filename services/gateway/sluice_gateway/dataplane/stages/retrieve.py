"""Retrieve: ask the retrieval service for evidence, as the request or its policy demands."""

from sluice.contracts.retrieval import ContextReply, ContextRequest
from sluice.errors import SluiceError
from sluice_gateway.dataplane.body import RetrievalOptions
from sluice_gateway.dataplane.context import RequestContext
from sluice_gateway.dataplane.deps import DataPlaneDeps
from sluice_gateway.dataplane.errors import InvalidRequest, from_service
from sluice_gateway.dataplane.follow_up import with_what_was_asked_before
from sluice_gateway.dataplane.plan import RetrievalPlan
from sluice_gateway.dataplane.texts import pieces, question

_MAX_QUERY = 20_000
_MAX_STORES = 20


def context_request(
    asked: RetrievalOptions | None,
    policy: RetrievalPlan | None,
    query: str,
    budget_tokens: int,
    whole: str | None = None,
) -> ContextRequest:
    """Return the question: the stores of the policy and those that the request names, with the request's own settings first.

    `whole` is a follow-up with what was asked before it: it is searched for as well, and the hits of both are joined.
    """
    stores = dict.fromkeys((*(policy.vector_store_ids if policy else ()), *(asked.vector_store_ids if asked else ())))
    settings = asked or policy
    assert settings is not None
    return ContextRequest(
        query=query[-_MAX_QUERY:],
        vector_store_ids=tuple(stores)[:_MAX_STORES],
        top_k=settings.top_k,
        mode=settings.mode,
        budget_tokens=budget_tokens,
        rerank=settings.rerank,
        placement=settings.placement,
        also=() if whole is None or not settings.follow_ups else (whole[-_MAX_QUERY:],),
        filters=None if asked is None else asked.filters,
    )


def budget(context_tokens: int, max_tokens: int | None) -> int:
    """Return how many tokens of evidence may be put before the question: half of what the answer leaves of the context."""
    left = context_tokens - (max_tokens or context_tokens // 4)
    return max(64, min(1500, left // 2))


class Retrieve:
    """The stage."""

    def __init__(self, deps: DataPlaneDeps) -> None:
        self._deps = deps

    async def __call__(self, ctx: RequestContext) -> None:
        """Set the context block and its citations.

        Raises:
            InvalidRequest, Unavailable: as the sentence says, unless the policy goes on without evidence.
        """
        if ctx.endpoint.kind != "chat":
            if ctx.body.extension is not None and ctx.body.extension.retrieval is not None:
                raise InvalidRequest(
                    "`sluice.retrieval` goes with /v1/chat/completions only. Leave it out here.",
                    param="sluice.retrieval",
                )
            return
        found = pieces(ctx.fields, ctx.endpoint.kind)
        query = question(found)
        if not query.strip():
            return
        whole = with_what_was_asked_before(query, found)
        asked = ctx.body.extension.retrieval if ctx.body.extension is not None else None
        try:
            reply, queries = await self._ask(ctx, query, whole, asked)
        except SluiceError as exc:
            self._deps.metrics.stage_errors.labels("retrieve").inc()
            if asked is None and ctx.plan.retrieval is not None and ctx.plan.retrieval.on_error == "continue":
                return
            raise from_service(exc, "retrieval service") from exc
        ctx.searched = queries
        ctx.context_text = reply.text
        ctx.citations = reply.citations

    async def _ask(
        self, ctx: RequestContext, query: str, whole: str | None, asked: RetrievalOptions | None
    ) -> tuple[ContextReply, tuple[str, ...]]:
        models = (ctx.model,) if ctx.model is not None else ctx.route.candidates if ctx.route is not None else ()
        smallest = min((entry.config.context_tokens for entry in models if entry is not None), default=8192)
        request = context_request(asked, ctx.plan.retrieval, query, budget(smallest, ctx.body.max_tokens), whole)
        with self._deps.tracing.span("retrieve") as span:
            reply = await self._deps.retrieval.context(
                request, tenant=ctx.key.tenant, timeout_s=self._deps.options.stage_timeout_s
            )
            span.set_attribute("sluice.citations", len(reply.citations))
            return reply, (request.query, *request.also)
