"""Retrieve: ask the retrieval service for evidence, as the request or its policy demands."""

import logging
import math
from collections.abc import Sequence
from typing import Literal

from pydantic import ValidationError

from sluice.contracts.questions import Turn
from sluice.contracts.retrieval import ContextReply, ContextRequest, RetrievalPolicy
from sluice.contracts.searching import Compound, RankingControl, SearchFilter
from sluice.errors import NotFound, SluiceError
from sluice_gateway.dataplane.context import RequestContext
from sluice_gateway.dataplane.deps import DataPlaneDeps
from sluice_gateway.dataplane.errors import InvalidRequest, NotThere, StoreMissing, from_service, wrong_value
from sluice_gateway.dataplane.extension import RetrievalOptions
from sluice_gateway.dataplane.stages.evidence import Evidence
from sluice_gateway.dataplane.texts import Path, Piece, pieces, question
from sluice_gateway.dataplane.wants import remembered_user

_log = logging.getLogger(__name__)
_QUIET_S = 60.0  # a warning for each request would be no warning
_MAX_QUERY = 20_000
_MAX_STORES = 20
_MAX_TURNS, _MAX_TURN = 12, 2000


_SETTINGS = frozenset(RankingControl.model_fields) | {"placement", "template", "understand"}


def context_request(
    asked: RetrievalOptions | None,
    policy: RetrievalPolicy | None,
    query: str,
    budget_tokens: int,
    earlier: Sequence[Turn] = (),
    user: str = "",
) -> ContextRequest:
    """Return the question: the stores of the policy and those that the request names, with what the request says before the policy's.

    `user` is the end user whom the request names: without one nothing is remembered. `earlier` are the messages before the
    question: from them a follow-up is made a question that stands alone.

    Raises:
        InvalidRequest: the filters of request and policy together are too deep.
    """
    stores = dict.fromkeys((*(policy.vector_store_ids if policy else ()), *(asked.vector_store_ids if asked else ())))
    memory = (asked.memory if asked is not None else None) or (policy.memory if policy is not None else None)
    if memory is not None and memory.user is None:
        memory = memory.model_copy(update={"user": user}) if user else None
    settings: dict[str, object] = {}
    for said in (policy, asked):
        if said is not None:
            settings |= {name: getattr(said, name) for name in _SETTINGS & said.model_fields_set}
    settings["filters"] = _narrowed(policy, asked)
    follow_ups = next((one.follow_ups for one in (asked, policy) if one and "follow_ups" in one.model_fields_set), True)
    return ContextRequest(
        query=query[-_MAX_QUERY:],
        vector_store_ids=tuple(stores)[:_MAX_STORES],
        memory=memory,
        budget_tokens=budget_tokens,
        conversation=tuple(earlier) if follow_ups else (),
        **settings,
    )


def _narrowed(policy: RetrievalPolicy | None, asked: RetrievalOptions | None) -> SearchFilter | None:
    filters = tuple(one.filters for one in (policy, asked) if one is not None and one.filters is not None)
    if len(filters) < 2:
        return filters[0] if filters else None
    try:
        return Compound(type="and", filters=filters)
    except ValidationError as exc:
        raise wrong_value(
            "sluice.retrieval.filters", "are too many or too deep together with those of the policy."
        ) from exc


def budget(context_tokens: int, max_tokens: int | None, wanted: int | None = None) -> int:
    """Return how many tokens of evidence may be put before the question.

    Half of what the answer leaves of the context, and 1,500 at most; where more is `wanted`, three quarters at most.
    """
    left = context_tokens - (max_tokens or context_tokens // 4)
    return max(64, min(1500, left // 2)) if wanted is None else max(64, min(wanted, left * 3 // 4))


def _wanted(asked: RetrievalOptions | None, policy: RetrievalPolicy | None) -> int | None:
    return (asked.budget_tokens if asked else None) or (policy.budget_tokens if policy else None)


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


def missing_for(policy: str | None, store_id: str) -> StoreMissing:
    """Return what is said of a policy's store that is not there."""
    return StoreMissing(
        f"The policy `{policy}` searches the vector store `{store_id}`, which was deleted, has expired or belongs to another "
        "tenant. Name one that is there in the policy's `retrieval.vector_store_ids`, or say `on_error: continue` there to answer without it."
    )


class Retrieve:
    """The stage."""

    def __init__(self, deps: DataPlaneDeps) -> None:
        self._deps = deps
        self._evidence = Evidence(deps)
        self._quiet_until = -math.inf

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
            if isinstance(exc, NotFound):
                raise NotThere(exc.detail) from exc
            raise from_service(exc, "retrieval service") from exc
        if reply.missing_store_ids:
            self._judge(ctx, asked, reply.missing_store_ids)
        ctx.searched = queries
        ctx.context_text = reply.text
        ctx.citations = reply.citations

    def _judge(self, ctx: RequestContext, asked: RetrievalOptions | None, missing: Sequence[str]) -> None:
        """Say what it means that stores are not there, and go on with the others where the policy says so.

        Raises:
            NotThere: the request names one itself.
            StoreMissing: the policy names it, and does not go on without.
        """
        named = () if asked is None else asked.vector_store_ids
        own = next((one for one in missing if one in named), None)
        if own is not None:
            raise NotThere(
                f"There is no vector store `{own}`, or it has expired. List yours with GET /v1/vector_stores.",
                param="sluice.retrieval.vector_store_ids",
            )
        self._deps.metrics.policy_stores_missing.inc()
        error = missing_for(ctx.plan.policy, missing[0])
        now = self._deps.clock.monotonic()
        if now >= self._quiet_until:
            self._quiet_until = now + _QUIET_S
            _log.warning("tenant %s: %s", ctx.key.tenant, error.message)
        if ctx.plan.retrieval is None or ctx.plan.retrieval.on_error == "fail":
            raise error

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
            budget(smallest, ctx.body.max_tokens, _wanted(asked, ctx.plan.retrieval)),
            earlier,
            remembered_user(ctx.fields),
        )
        with self._deps.tracing.span("retrieve") as span:
            reply = await self._found(ctx, request)
            span.set_attribute("sluice.citations", len(reply.citations))
            understood = reply.understood
            return reply, (request.query,) if understood is None else tuple(one.text for one in understood.queries)

    async def _found(self, ctx: RequestContext, request: ContextRequest) -> ContextReply:
        try:
            return await self._evidence(ctx, request)
        except NotFound:
            if ctx.plan.retrieval is None or not ctx.plan.retrieval.vector_store_ids:
                raise
        # Only now, since it is rare, and a retrieval service of an older version does not know how to leave stores out.
        return await self._evidence(ctx, request.model_copy(update={"missing_stores": "leave_out"}))
