"""Requests that came before, word for word, and were answered from memory: what they mean is not found out again.

A cache is there for questions that repeat, and most of what such a request costs is reading it: its JSON, its types, the plan, the name
of its answer, the most that it could come to. All of that follows from its bytes, its key and the table, so it is kept with them; the
answer, the limits, the record and the decision on tracing are each request's own.
"""

from collections import OrderedDict
from typing import NamedTuple

from sluice_gateway.dataplane.context import Heads, Opened, RequestContext
from sluice_gateway.dataplane.stages.cache_wish import Wish
from sluice_gateway.dataplane.stages.record import event_of
from sluice_gateway.dataplane.stages.settle import settle_request
from sluice_gateway.dataplane.stages.use_cache import Ready, head_of_hit, template_of_hit
from sluice_gateway.dataplane.table import Endpoint
from sluice_gateway.dataplane.worst_case import NOTHING, WorstCase
from sluice_gateway.domain.leases import Reservation
from sluice_gateway.domain.ports import UsageFields

LONGEST = 8192  # bytes of a body; a longer one costs more to compare than it saves
MOST = 1000
_DECIDES = Heads._fields.index("attempt")  # from here on


class Repeat(NamedTuple):
    """What a request led to that was answered from memory: its context, what it wants of the cache, the answer, what it reserved, and its row.

    `template` is that of `template_of_hit`.
    """

    ctx: RequestContext
    wish: Wish
    ready: Ready
    worst: WorstCase
    row: UsageFields
    template: bytes | None

    def again(self, heads: Heads, started: float, opened: Opened, raw: bytes) -> RequestContext:
        """Return the context of another request of the same bytes, for an answer from memory and for nothing else."""
        first = self.ctx
        ctx = RequestContext(first.endpoint, heads, started, opened, raw, first.body, None)
        ctx.model, ctx.route, ctx.plan, ctx.chain = first.model, first.route, first.plan, first.chain
        ctx.user_type = first.user_type
        return ctx

    def head(self, ctx: RequestContext) -> bytes:
        """Return the header lines of an answer from memory, whose request has been recorded."""
        template, rates = self.template, ctx.rates
        if template is None or ctx.degraded:
            return head_of_hit(ctx, self.ready)
        head = template % (ctx.heads.request_id.encode(), ctx.cache)
        return head if rates is None else head + rates.lines()


class Repeats:
    """The last requests of this kind, no more than `most`, in a life of this process; used on the event loop only."""

    __slots__ = ("_life", "_most", "known")

    def __init__(self, life: str, most: int = MOST) -> None:
        self._life = life
        self._most = most
        self.known: OrderedDict[tuple[str, bytes], Repeat] = OrderedDict()

    def find(self, endpoint: Endpoint, heads: Heads, opened: Opened, raw: bytes) -> Repeat | None:
        """Return what is known of a request, None when anything that it was decided by may be another now."""
        key = opened.key
        found = self.known.get((key.key_id, raw))
        if found is None:
            return None
        first = found.ctx
        if first.key is not key or first.table is not opened.table or first.endpoint is not endpoint:
            return None
        return found if first.heads[_DECIDES:] == heads[_DECIDES:] else None

    def learn(self, ctx: RequestContext, wish: Wish, ready: Ready, held: Reservation | None) -> None:
        """Keep what a request led to that was answered with `ready`, and what it had reserved for the worst case."""
        if ctx.trace is not None:
            return  # its row names its trace
        if len(ctx.raw) > LONGEST or wish.items is not None or ready.found.entry.verdicts:
            return
        worst = NOTHING if held is None else WorstCase(0, held.tokens, held.money)
        row = event_of(ctx, settle_request(ctx), ctx.started, self._life)
        known = self.known
        known[ctx.key.key_id, ctx.raw] = Repeat(ctx, wish, ready, worst, row, template_of_hit(ctx, ready))
        if len(known) > self._most:
            known.popitem(last=False)

    def forget(self) -> None:
        """Forget all: the table is another one."""
        self.known.clear()
