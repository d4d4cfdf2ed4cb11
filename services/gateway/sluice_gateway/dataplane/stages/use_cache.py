"""Use cache: answer with what is kept, or keep what the model answers; one of many equal requests asks it for all."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal, NamedTuple
from urllib.parse import quote

from sluice.errors import DependencyUnavailable
from sluice_gateway.cache.similar import Asked, Near
from sluice_gateway.cache.tuning import Pair
from sluice_gateway.dataplane.answers import SSE, cost, decision_headers, lines, says_little, unaccounted
from sluice_gateway.dataplane.asgi import Headers
from sluice_gateway.dataplane.context import RequestContext
from sluice_gateway.dataplane.deps import DataPlaneDeps
from sluice_gateway.dataplane.errors import Gone
from sluice_gateway.dataplane.replay import shown
from sluice_gateway.dataplane.stages import cache_items
from sluice_gateway.dataplane.stages.attempt import is_late
from sluice_gateway.dataplane.stages.cache_entry import Recorder, entry_of, said, tell_again
from sluice_gateway.dataplane.stages.cache_items import Items
from sluice_gateway.dataplane.stages.cache_question import Asking
from sluice_gateway.dataplane.stages.cache_wish import Wish, asking_of, wish_of
from sluice_gateway.dataplane.stages.record import record, record_again
from sluice_gateway.domain.cached import Entry, Found, Level
from sluice_gateway.domain.ports import UsageFields

Generate = Callable[[RequestContext], Awaitable[None]]

_LONGEST_WAIT_S = 60.0
_LOOK_S = 0.05
_LEGIBLE = " !'()*,-./:;=?@_~"
_OK = 200
_HEAD = (
    b"x-request-id: %b\r\n%bx-sluice-cache: %b\r\nx-sluice-cost: 0\r\nx-sluice-saved-cost: %b\r\n"
    b"content-type: application/json\r\ncontent-length: %d\r\n"
)
_OUTCOMES = ("l1", "l2", "l3", "semantic", "partial", "miss", "bypass")


class Ready(NamedTuple):
    """An entry that was found, and its bytes in the form that the request asks for."""

    found: Found
    pieces: tuple[bytes, ...]
    near: Near | None = None


class Caching:
    """The stage: it stands before the model, so that it sees what guards and retrieval made of the request."""

    def __init__(self, deps: DataPlaneDeps, before_end: Callable[[RequestContext], None]) -> None:
        self._answers = deps.answers
        self._similar = deps.similar
        self._thresholds = deps.thresholds
        self._usage = deps.usage
        self._clock = deps.clock
        self._before_end = before_end
        self._flights: dict[bytes, list[asyncio.Future[bool]]] = {}
        metrics = deps.metrics
        self._outcomes = {name: metrics.cache_requests.labels(name) for name in _OUTCOMES}
        self._looked = {name: metrics.cache_semantic_seconds.labels(name) for name in ("hit", "miss", "unavailable")}
        self._unavailable = metrics.cache_errors.labels("semantic")
        self._saved_usd = metrics.cache_saved_usd.labels()
        self._saved_input = metrics.cache_saved_tokens.labels("input")
        self._saved_output = metrics.cache_saved_tokens.labels("output")
        memory = deps.answers.memory
        memory.on_eviction = lambda reason, count: metrics.cache_evictions.labels(reason).increase(count)
        metrics.cache_bytes.set_function(lambda: float(memory.bytes))
        metrics.cache_entries.set_function(lambda: float(len(memory)))

        def failed(level: Level) -> None:
            metrics.cache_errors.labels(level).increase(1)

        deps.answers.on_error = failed

    def outcomes(self) -> dict[str, int]:
        """Return how many requests of this process had which outcome."""
        return {name: int(tally.value) for name, tally in self._outcomes.items()}

    def saved_usd(self) -> float:
        """Return what answers from the cache would have cost."""
        return self._saved_usd.value

    def wish(self, ctx: RequestContext) -> Wish | None:
        """Return what a request wants of the cache; one that wants or gets nothing of it is marked so."""
        wish = wish_of(ctx)
        if wish is None:
            self._bypass(ctx)
        return wish

    def at_hand(self, ctx: RequestContext, wish: Wish) -> Ready | None:
        """Return the answer if it is in the memory of this process."""
        if not wish.reads:
            return None
        if wish.items is not None:
            cache_items.look_at_hand(self._answers, wish.items, ctx.at, wish.max_age)
            return _ready_list(ctx, wish.items)
        entry = self._answers.at_hand(wish.key, ctx.at)
        return None if entry is None else _ready(ctx, wish, Found(entry, "l1"), ctx.at)

    def still(self, ready: Ready, wish: Wish, at: float) -> bool:
        """Tell whether what was found before is still what memory has for the same wish, as it was found."""
        entry = self._answers.at_hand(wish.key, at)
        return entry is ready.found.entry and at - entry.stored_at <= wish.max_age

    def _bypass(self, ctx: RequestContext) -> None:
        if ctx.cache is None:
            self._outcomes["bypass"].value += 1
            ctx.cache = b"bypass"

    def hit(self, ctx: RequestContext, ready: Ready, row: UsageFields | None = None) -> None:
        """Record a request that is answered with what was found; `row` is that of one that was answered with the same before.

        Raises:
            DependencyUnavailable: it cannot be recorded; it must not end as a success.
        """
        found, _, near = ready
        entry = found.entry
        where = b"level=%b; age=%d" % (found.level.encode(), max(0, int(ctx.at - entry.stored_at)))
        ctx.cache = b"hit; " + where if near is None else b"semantic-hit; similarity=%.3f; " % near.similarity + where
        now = self._clock.monotonic()
        if ctx.body.stream:
            ctx.ttft = now - ctx.started
        if row is None:
            record(ctx, self._usage, now)
        else:
            record_again(ctx, self._usage, now, row)
        self._outcomes[found.level if near is None else "semantic"].value += 1
        self._save(entry)

    def _save(self, entry: Entry) -> None:
        self._saved_usd.value += entry.cost_usd
        self._saved_input.value += entry.prompt_tokens
        self._saved_output.value += entry.completion_tokens

    async def run(self, ctx: RequestContext, generate: Generate) -> None:
        """Answer from the cache, or let `generate` answer and keep that."""
        wish = self.wish(ctx)
        if wish is None:
            await generate(ctx)
            return
        leads = kept = False
        doubted: Ready | None = None
        asking = None if self._similar is None or wish.policy.semantic is None else asking_of(ctx, wish.policy)
        try:
            found = None
            if wish.reads:
                found = await self._look(ctx, wish)
                waiting = self._flights.get(wish.key)
                if found is None and waiting is not None:
                    leads = await self._wait(ctx, wish.key, waiting)
                    found = await self._look(ctx, wish, news=True)
                elif found is None:
                    leads = True
                    self._flights[wish.key] = []
                    found = await self._from_others(ctx, wish)
                if found is None and asking is not None:
                    found, doubted = await self._in_other_words(ctx, wish, asking)
            if found is not None:
                await self._replay(ctx, found)
                return
            kept = await self._answer(ctx, wish, generate, asking, doubted)
        finally:
            if leads:
                # That its client has left, or has no more time, says nothing of the answer that others wait for.
                self._step_down(wish.key, kept=kept, left=not kept and (ctx.gone or is_late(ctx)))

    async def _answer(
        self, ctx: RequestContext, wish: Wish, generate: Generate, asking: Asking | None, doubted: Ready | None
    ) -> bool:
        # Lets the model answer, and tells whether that was kept.
        if wish.items is not None:
            return await self._ask_items(ctx, wish, generate)
        entry = await self._ask(ctx, wish, generate)
        if entry is not None and asking is not None and self._similar is not None:
            self._similar.keep(asking.place, Asked(asking.question.text, wish.key), asking.policy.ttl_s)
            if doubted is not None:
                self._learn(ctx, asking, doubted, entry)
        return entry is not None

    async def _look(self, ctx: RequestContext, wish: Wish, *, news: bool = False) -> Ready | None:
        now = self._clock.now()
        if wish.items is not None:
            await cache_items.look(self._answers, wish.items, now, wish.max_age, news=news)
            return _ready_list(ctx, wish.items)
        found = await self._answers.find(wish.key, now, news=news)
        if found is None:  # another request may have kept it meanwhile
            entry = self._answers.at_hand(wish.key, now)
            found = None if entry is None else Found(entry, "l1")
        return None if found is None else _ready(ctx, wish, found, now)

    async def _wait(self, ctx: RequestContext, key: bytes, waiting: list[asyncio.Future[bool]]) -> bool:
        # True: who asked the model for all has left, and this request is to ask in its place.
        loop = asyncio.get_running_loop()
        place = ctx.waits_for = loop.create_future()
        waiting.append(place)
        until = loop.time() + _LONGEST_WAIT_S
        try:
            async with asyncio.timeout_at(until if ctx.deadline is None else min(until, ctx.deadline)):
                leads: bool = await place
                return leads
        except TimeoutError:
            return _leads(place)
        except asyncio.CancelledError:
            if _leads(place):
                self._step_down(key, kept=False, left=True)
            if ctx.gone:
                raise Gone from None
            raise
        finally:
            ctx.waits_for = None

    async def _from_others(self, ctx: RequestContext, wish: Wish) -> Ready | None:
        # None: this process asks the model.
        if await self._answers.take(wish.key):
            return None
        loop = asyncio.get_running_loop()
        until = loop.time() + _LONGEST_WAIT_S
        if ctx.deadline is not None:
            until = min(until, ctx.deadline)
        while loop.time() < until:
            if ctx.gone:
                raise Gone
            busy = await self._answers.taken(wish.key)
            found = await self._look(ctx, wish, news=True)
            if found is not None or not busy:
                return found
            await asyncio.sleep(_LOOK_S)
        return None

    async def _in_other_words(
        self, ctx: RequestContext, wish: Wish, asking: Asking
    ) -> tuple[Ready | None, Ready | None]:
        # What is found is the answer, or is doubted: then the model answers too, so that the threshold can be learned from both answers.
        assert self._similar is not None
        threshold, tuning = asking.policy.threshold, asking.policy.tune
        sampled, before = False, (ctx.confidence, ctx.groundedness, ctx.guard_issues)
        if tuning is not None and self._thresholds is not None:
            threshold = self._thresholds.of(_named(ctx), asking.policy)
            sampled = self._thresholds.samples(tuning)
        started = self._clock.monotonic()
        outcome: Literal["hit", "miss", "unavailable"] = "miss"
        ready = None
        try:
            near = await self._similar.find(
                asking.place,
                asking.question,
                min(threshold, tuning.least) if tuning is not None and sampled else threshold,
                tenant=ctx.key.tenant,
            )
            ready = await self._nearest(ctx, wish, asking, near)
            outcome = "miss" if ready is None or sampled else "hit"
        except DependencyUnavailable:
            outcome = "unavailable"
            self._unavailable.value += 1
        self._looked[outcome].observe(self._clock.monotonic() - started)
        if ready is not None and sampled:
            ctx.confidence, ctx.groundedness, ctx.guard_issues = (
                before  # what was said of the kept answer is not said of the new one
            )
            return None, ready
        return ready, None

    def _learn(self, ctx: RequestContext, asking: Asking, doubted: Ready, entry: Entry) -> None:
        kept, own, near = said(ctx, doubted.found.entry), said(ctx, entry), doubted.near
        if kept and own and near is not None and self._thresholds is not None:
            pair = Pair(near.similarity, kept, own)
            self._thresholds.learn(_named(ctx), asking.policy, pair, tenant=ctx.key.tenant)

    async def _nearest(self, ctx: RequestContext, wish: Wish, asking: Asking, near: list[Near]) -> Ready | None:
        now = self._clock.now()
        youngest = wish._replace(max_age=min(wish.max_age, asking.policy.ttl_s))
        for one in near:
            found = await self._answers.find(one.asked.answer, now)
            ready = None if found is None else _ready(ctx, youngest, found, now)
            if ready is not None:
                return ready._replace(near=one)
        return None

    async def _ask(self, ctx: RequestContext, wish: Wish, generate: Generate) -> Entry | None:
        self._outcomes["miss"].value += 1
        ctx.cache = b"miss"
        asked = ctx.chain[0]
        recorder = ctx.send = Recorder(ctx.send)
        ctx.cycle = None  # what is answered goes through the recorder
        await generate(ctx)
        entry = entry_of(ctx, wish.policy, recorder, asked)
        if entry is not None:
            self._answers.keep(wish.key, {wish.key: entry}, self._clock.now())
        return entry

    async def _ask_items(self, ctx: RequestContext, wish: Wish, generate: Generate) -> bool:
        items, asked = wish.items, ctx.chain[0]
        assert items is not None
        hits = sum(key in items.found for key in items.keys)
        self._outcomes["partial" if hits else "miss"].value += 1
        ctx.cache = b"partial; hits=%d; of=%d" % (hits, len(items.keys)) if hits else b"miss"
        new = await cache_items.ask(ctx, items, generate)
        for found in items.found.values():
            self._save(found.entry)
        kept = ctx.status == "ok" and not ctx.gone and ctx.model is asked
        if kept:
            self._answers.keep(wish.key, cache_items.entries(ctx, new, wish.policy.ttl_s), self._clock.now())
        return kept

    def _step_down(self, key: bytes, *, kept: bool, left: bool) -> None:
        if left and self._hand_over(key):
            return
        self._land(key)
        if not kept:
            self._answers.free_soon(key)

    def _land(self, key: bytes) -> None:
        for place in self._flights.pop(key, ()):
            if not place.done():
                place.set_result(False)

    def _hand_over(self, key: bytes) -> bool:
        # To the first that still waits; tells whether there was one.
        waiting = self._flights[key]
        while waiting:
            place = waiting.pop(0)
            if not place.done():
                place.set_result(True)
                return True
        return False

    async def _replay(self, ctx: RequestContext, ready: Ready) -> None:
        try:
            self.hit(ctx, ready)
        except DependencyUnavailable as exc:
            raise unaccounted() from exc
        headers, pieces = _headers(ctx, ready), ready.pieces
        self._before_end(ctx)
        try:
            await ctx.send({"type": "http.response.start", "status": _OK, "headers": headers})
            for piece in pieces[:-1]:
                await ctx.send({"type": "http.response.body", "body": piece, "more_body": True})
            await ctx.send({"type": "http.response.body", "body": pieces[-1]})
        except OSError as exc:
            raise Gone from exc


def _leads(place: asyncio.Future[bool]) -> bool:
    return place.done() and not place.cancelled() and place.result() is True


def _named(ctx: RequestContext) -> str:
    return ctx.route.name if ctx.route is not None else ctx.chain[0].name


def template_of_hit(ctx: RequestContext, ready: Ready) -> bytes | None:
    """Return the header lines of such an answer as a template for its request's id and what is told of the cache, None where it has more lines."""
    model = ctx.model
    if ready.near is not None or model is None or ctx.body.stream or not says_little(ctx):
        return None
    saved, length = cost(ready.found.entry.cost_usd), len(ready.pieces[0])
    return _HEAD % (b"%b", model.header_line.replace(b"%", b"%%"), b"%b", saved, length)


def head_of_hit(ctx: RequestContext, ready: Ready) -> bytes:
    """Return the header lines of an answer from the cache, whose request has been recorded."""
    template = template_of_hit(ctx, ready)
    if template is None:
        return lines(_headers(ctx, ready))
    head = template % (ctx.heads.request_id.encode(), ctx.cache)
    return head if ctx.rates is None else head + ctx.rates.lines()


def _headers(ctx: RequestContext, ready: Ready) -> Headers:
    headers, near = decision_headers(ctx), ready.near
    if near is not None:
        headers.append((b"x-sluice-cache-question", quote(near.asked.text, safe=_LEGIBLE).encode()))
    headers += ((b"x-sluice-cost", b"0"), (b"x-sluice-saved-cost", cost(ready.found.entry.cost_usd)))
    if ctx.body.stream:
        return headers + SSE
    return [*headers, (b"content-type", b"application/json"), (b"content-length", b"%d" % len(ready.pieces[0]))]


def _ready(ctx: RequestContext, wish: Wish, found: Found, now: float) -> Ready | None:
    if now - found.entry.stored_at > wish.max_age:
        return None
    ctx.model = ctx.chain[0]
    before = ctx.confidence, ctx.groundedness, ctx.guard_issues
    tell_again(ctx, found.entry)
    pieces = shown(ctx, found.entry)
    if pieces is None:
        ctx.confidence, ctx.groundedness, ctx.guard_issues = before
        return None
    return Ready(found, pieces)


def _ready_list(ctx: RequestContext, items: Items) -> Ready | None:
    ctx.model = ctx.chain[0]
    found = cache_items.whole(ctx, items)
    return None if found is None else Ready(*found)
