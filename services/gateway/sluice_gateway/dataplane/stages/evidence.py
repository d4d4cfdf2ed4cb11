"""Evidence: what retrieval finds for a question, and what it found before as long as that is still right."""

from pydantic import ValidationError

from sluice.contracts.retrieval import ContextReply, ContextRequest
from sluice_gateway.cache.levels import AnswerCache
from sluice_gateway.dataplane.context import RequestContext
from sluice_gateway.dataplane.deps import DataPlaneDeps
from sluice_gateway.dataplane.stages.cache_wish import Wish, evidence_wish
from sluice_gateway.domain.cached import Entry

_NOT_ASKED = {"known_version"}


class Evidence:
    """Asks the retrieval service.

    With a cache in the policy what was found is kept in all its levels for `functions_ttl_s`. It is given again only when the
    service says that nothing has changed in the stores since then, for which it neither searches nor embeds: so what was
    deleted is gone from the next answer on. What was found while a model that was asked for was away is not kept: the next request may find
    better. Degraded mode: without the cache the service searches; without the service
    nothing is given, since nobody could say that it is still right.
    """

    def __init__(self, deps: DataPlaneDeps) -> None:
        self._retrieval = deps.retrieval
        self._answers: AnswerCache = deps.answers
        self._clock = deps.clock
        self._timeout_s = deps.options.stage_timeout_s
        self._kept = deps.metrics.evidence.labels("kept")
        self._found = deps.metrics.evidence.labels("found")

    async def __call__(self, ctx: RequestContext, request: ContextRequest) -> ContextReply:
        """Return evidence for a question.

        Raises:
            SluiceError: as the retrieval service's client does.
        """
        wish = evidence_wish(ctx, request.model_dump(mode="json", exclude=_NOT_ASKED))
        if wish is None:
            return await self._ask(ctx, request)
        kept = await self._before(wish)
        if kept is not None:
            reply = await self._ask(ctx, request.model_copy(update={"known_version": kept.version}))
            if reply.unchanged:
                self._kept.value += 1
                return kept
        else:
            reply = await self._ask(ctx, request)
        self._found.value += 1
        if reply.version and not reply.degraded:
            self._keep(ctx, wish, reply)
        return reply

    async def _ask(self, ctx: RequestContext, request: ContextRequest) -> ContextReply:
        return await self._retrieval.context(request, tenant=ctx.key.tenant, timeout_s=self._timeout_s)

    async def _before(self, wish: Wish) -> ContextReply | None:
        now = self._clock.now()
        found = await self._answers.find(wish.key, now) if wish.reads else None
        if found is None or now - found.entry.stored_at > wish.max_age:
            return None
        try:
            return ContextReply.model_validate_json(found.entry.pieces[0])
        except ValidationError:  # of another version of this service
            return None

    def _keep(self, ctx: RequestContext, wish: Wish, reply: ContextReply) -> None:
        entry = Entry(
            tenant=ctx.key.tenant,
            model="",
            key_id=ctx.key.key_id,
            pieces=(reply.model_dump_json().encode(),),
            stored_at=ctx.at,
            ttl_s=wish.policy.functions_ttl_s,
        )
        self._answers.keep(wish.key, {wish.key: entry}, self._clock.now())
