"""Retrieve: ask the retrieval service for evidence, as the request or its policy demands."""

from collections.abc import Sequence
from typing import Literal

from sluice.contracts.questions import Turn
from sluice.contracts.retrieval import ContextReply, ContextRequest
from sluice.errors import SluiceError
from sluice_gateway.dataplane.body import RetrievalOptions
from sluice_gateway.dataplane.context import RequestContext
from sluice_gateway.dataplane.deps import DataPlaneDeps
from sluice_gateway.dataplane.errors import InvalidRequest, from_service
from sluice_gateway.dataplane.plan import RetrievalPlan
from sluice_gateway.dataplane.stages.evidence import Evidence
from sluice_gateway.dataplane.texts import Path, Piece, pieces, question
from sluice_gateway.dataplane.wants import remembered_user

_MAX_QUERY = 20_000
_MAX_STORES = 20
_MAX_TURNS, _MAX_TURN = 12, 2000


def context_request(
    asked: RetrievalOptions | None,
    policy: RetrievalPlan | None,
    query: str,
    budget_tokens: int,
    earlier: Sequence[Turn] = (),
    user: str = "",
) -> ContextRequest:
    """Return the question: the stores of the policy and those that the request names, with the request's own settings first.

    `user` is the end user whom the request names: without one nothing is remembered.

    `earlier` are the messages before the question: from them a follow-up is made a question that stands alone.
    """
    stores = dict.fromkeys((*(policy.vector_store_ids if policy else ()), *(asked.vector_store_ids if asked else ())))
    settings = asked or policy
    assert settings is not None
    memory = (asked.memory if asked is not None else None) or (policy.memory if policy is not None else None)
    if memory is not None and memory.user is None:
        memory = memory.model_copy(update={"user": user}) if user else None
    return ContextRequest(
        query=query[-_MAX_QUERY:],
        vector_store_ids=tuple(stores)[:_MAX_STORES],
        memory=memory,
        top_k=settings.top_k,
        mode=settings.mode,
        budget_tokens=budget_tokens,
        rerank=settings.rerank,
        placement=settings.placement,
        template=settings.template,
        conversation=tuple(earlier) if settings.follow_ups else (),
        understand=settings.understand or (policy.understand if policy is not None else None),
        filters=None if asked is None else asked.filters,
        kinds=("text", "image") if asked is None else asked.kinds,
    )


def budget(context_tokens: int, max_tokens: int | None) -> int:
    """Return how many tokens of evidence may be put before the question: half of what the answer leaves of the context."""
    left = context_tokens - (max_tokens or context_tokens // 4)
    return max(64, min(1500, left // 2))


def said_before(found: Sequence[Piece]) -> list[Turn]:
    """Return the messages of user and assistant before the last one of the user, the latest at most, oldest first."""
    said: dict[Path, list[str]] = {}
    roles: dict[Path, Literal["user", "assistant"]] = {}
    for piece in found:
        if piece.role in ("user", "assistant"):
            said.setdefault(piece.path[:2], []).append(piece.text)
            roles[piece.path[:2]] = "user" if piece.role == "user" else "assistant"
    asked = [path for path, role in roles.items() if role == "user"]
    if len(asked) <= 1:
        return []
    before = list(said)[: list(said).index(asked[-1])][-_MAX_TURNS:]
    return [Turn(role=roles[path], content="\n".join(said[path])[:_MAX_TURN]) for path in before]


class Retrieve:
    """The stage."""

    def __init__(self, deps: DataPlaneDeps) -> None:
        self._deps = deps
        self._evidence = Evidence(deps)

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
        earlier = said_before(found)
        asked = ctx.body.extension.retrieval if ctx.body.extension is not None else None
        if not self._has_source(ctx, asked):
            return
        try:
            reply, queries = await self._ask(ctx, query, earlier, asked)
        except SluiceError as exc:
            self._deps.metrics.stage_errors.labels("retrieve").inc()
            if asked is None and ctx.plan.retrieval is not None and ctx.plan.retrieval.on_error == "continue":
                return
            raise from_service(exc, "retrieval service") from exc
        ctx.searched = queries
        ctx.context_text = reply.text
        ctx.citations = reply.citations

    def _has_source(self, ctx: RequestContext, asked: RetrievalOptions | None) -> bool:
        """Tell whether there is anything to look into: memory alone is nothing where nobody is named.

        Raises:
            InvalidRequest: the request asks for memory and nothing else, and names no end user.
        """
        plan = ctx.plan.retrieval
        if (plan is not None and plan.vector_store_ids) or (asked is not None and asked.vector_store_ids):
            return True
        memory = (asked.memory if asked is not None else None) or (plan.memory if plan is not None else None)
        if (memory is not None and memory.user is not None) or remembered_user(ctx.fields):
            return True
        if asked is not None:
            raise InvalidRequest(
                "Memory is of an end user. Name one in `safety_identifier` or `user`, or in `sluice.retrieval.memory.user`.",
                param="sluice.retrieval.memory",
            )
        return False

    async def _ask(
        self, ctx: RequestContext, query: str, earlier: Sequence[Turn], asked: RetrievalOptions | None
    ) -> tuple[ContextReply, tuple[str, ...]]:
        models = (ctx.model,) if ctx.model is not None else ctx.route.candidates if ctx.route is not None else ()
        smallest = min((entry.config.context_tokens for entry in models if entry is not None), default=8192)
        request = context_request(
            asked,
            ctx.plan.retrieval,
            query,
            budget(smallest, ctx.body.max_tokens),
            earlier,
            remembered_user(ctx.fields),
        )
        with self._deps.tracing.span("retrieve") as span:
            reply = await self._evidence(ctx, request)
            span.set_attribute("sluice.citations", len(reply.citations))
            understood = reply.understood
            return reply, (request.query,) if understood is None else tuple(one.text for one in understood.queries)
