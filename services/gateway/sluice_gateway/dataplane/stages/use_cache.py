"""Use cache: answer with what is kept, or keep what the model answers; one of many equal requests asks it for all."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from sluice.contracts.routing import CachePolicy
from sluice.errors import DependencyUnavailable
from sluice_gateway.dataplane.answers import SSE, cost, decision_headers, unaccounted
from sluice_gateway.dataplane.asgi import Headers, Message, Send
from sluice_gateway.dataplane.context import RequestContext
from sluice_gateway.dataplane.deps import DataPlaneDeps
from sluice_gateway.dataplane.errors import Gone
from sluice_gateway.dataplane.replay import kept_of, serves_both, shown
from sluice_gateway.dataplane.stages import cache_items
from sluice_gateway.dataplane.stages.cache_items import Items
from sluice_gateway.dataplane.stages.record import record
from sluice_gateway.dataplane.table import ModelEntry
from sluice_gateway.domain.cached import Entry, Found, Level, key_of

Generate = Callable[[RequestContext], Awaitable[None]]

_NO_PART = frozenset(
    {"model", "stream", "stream_options", "user", "metadata", "sluice", "safety_identifier", "prompt_cache_key"}
)
_TOOLS = frozenset({"tools", "functions", "tool_choice"})
_CALLS = (b'"tool_calls"', b'"tool_use"', b'"function_call"')
_UNFINISHED = re.compile(
    rb'"(?:finish_reason|stop_reason|status)":\s*"(?:length|max_tokens|incomplete|content_filter|refusal|failed)"'
)
_COST = re.compile(rb'"sluice":\{"cost_usd":[0-9.e+-]+\}')
_FREE = b'"sluice":{"cost_usd":0.0}'
_MAX_AGE = re.compile(rb"max-age=(\d{1,9})")
_MOST_BYTES = 1024 * 1024
_LONGEST_WAIT_S = 60.0
_LOOK_S = 0.05
_OK = 200
_FOREVER = float("inf")


_OUTCOMES = ("l1", "l2", "l3", "partial", "miss", "bypass")


class Hit(NamedTuple):
    """What answers a request from the cache: the headers, and the bytes in the form that the request asks for."""

    headers: Headers
    pieces: tuple[bytes, ...]


class Ready(NamedTuple):
    """An entry that was found, and its bytes in the form that the request asks for."""

    found: Found
    pieces: tuple[bytes, ...]


class Wish(NamedTuple):
    """What a request may have of the cache: its key, whether it reads, and the age that it accepts in seconds.

    `items` are those of a list of which each is kept by itself.
    """

    key: bytes
    reads: bool
    max_age: float
    policy: CachePolicy
    items: Items | None = None


def wish_of(ctx: RequestContext) -> Wish | None:
    """Return what a request wants of the cache, None when it wants or gets nothing of it."""
    policy = ctx.plan.cache
    model = ctx.chain[0] if ctx.chain else None
    if policy is None or model is None or ctx.endpoint.counts or ctx.endpoint.is_media:
        return None
    if ctx.vault is not None:
        return None  # the answer holds the user's own values, which are nobody else's and are not stored
    get = dict(ctx.heads.all).get
    asked = (get(b"x-sluice-cache") or b"").strip().lower()
    control = (get(b"cache-control") or b"").lower()
    if (
        asked == b"bypass"
        or b"no-store" in control
        or (policy.use == "on_request" and asked not in (b"on", b"refresh"))
    ):
        return None
    if not (asked in (b"on", b"refresh") or policy.any_temperature or _is_certain(ctx)):
        return None
    aged = _MAX_AGE.search(control)
    reads = asked != b"refresh" and b"no-cache" not in control
    key, items = _key(ctx, policy, model), None
    if ctx.endpoint.kind == "embedding":
        inputs = cache_items.inputs_of(ctx.fields["input"])
        items = cache_items.items_of(key, inputs)
        key, items = (items.keys[0], None) if len(inputs) == 1 else (key_of(*(one.hex() for one in items.keys)), items)
    return Wish(key, reads, _FOREVER if aged is None else float(aged[1]), policy, items)


def _is_certain(ctx: RequestContext) -> bool:
    return ctx.endpoint.kind == "embedding" or (ctx.body.native or ctx.fields).get("temperature") == 0


def _key(ctx: RequestContext, policy: CachePolicy, model: ModelEntry) -> bytes:
    key, body = ctx.key, ctx.body
    holder = key.key_id if policy.scope == "key" else (key.team_id or key.key_id) if policy.scope == "team" else ""
    native = body.native
    both = serves_both(ctx)
    left_out = _NO_PART | {"input"} if ctx.endpoint.kind == "embedding" else _NO_PART
    return key_of(
        key.tenant,
        policy.scope,
        holder,
        ctx.endpoint.path,
        both or body.stream,
        both or body.wants_usage,
        # with the same text but from elsewhere an answer would cite what was not found for this request
        [citation.model_dump(mode="json") for citation in ctx.citations],
        model.fingerprint,
        ctx.plan.marks,
        None if key.regions is None else sorted(key.regions),
        ctx.heads.anthropic,
        None if native is None else {name: value for name, value in native.items() if name not in _NO_PART},
        None
        if native is not None and not ctx.changed
        else {name: value for name, value in ctx.fields.items() if name not in left_out},
    )


class Caching:
    """The stage: it stands before the model, so that it sees what guards and retrieval made of the request."""

    def __init__(self, deps: DataPlaneDeps, before_end: Callable[[RequestContext], None]) -> None:
        self._answers = deps.answers
        self._usage = deps.usage
        self._clock = deps.clock
        self._before_end = before_end
        self._flights: dict[bytes, list[asyncio.Future[None]]] = {}
        metrics = deps.metrics
        self._outcomes = {name: metrics.cache_requests.labels(name) for name in _OUTCOMES}
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

    def at_hand(self, ctx: RequestContext) -> Ready | None:
        """Return the answer if it is in the memory of this process; a request that gets nothing of the cache is marked so."""
        wish = wish_of(ctx)
        if wish is None:
            self._bypass(ctx)
        if wish is None or not wish.reads:
            return None
        if wish.items is not None:
            cache_items.look_at_hand(self._answers, wish.items, ctx.at, wish.max_age)
            return _ready_list(ctx, wish.items)
        entry = self._answers.at_hand(wish.key, ctx.at)
        return None if entry is None else _ready(ctx, wish, Found(entry, "l1"), ctx.at)

    def _bypass(self, ctx: RequestContext) -> None:
        if ctx.cache is None:
            self._outcomes["bypass"].value += 1
            ctx.cache = b"bypass"

    def hit(self, ctx: RequestContext, ready: Ready) -> Hit:
        """Record a request that is answered with what was found, and return its answer.

        Raises:
            DependencyUnavailable: it cannot be recorded; it must not end as a success.
        """
        found, pieces = ready
        entry = found.entry
        ctx.cache = b"hit; level=%b; age=%d" % (found.level.encode(), max(0, int(ctx.at - entry.stored_at)))
        now = self._clock.monotonic()
        if ctx.body.stream:
            ctx.ttft = now - ctx.started
        record(ctx, self._usage, now)
        self._outcomes[found.level].value += 1
        self._save(entry)
        headers = decision_headers(ctx)
        headers += ((b"x-sluice-cost", b"0"), (b"x-sluice-saved-cost", cost(entry.cost_usd)))
        if ctx.body.stream:
            headers += SSE
        else:
            headers += (
                (b"content-type", b"application/json"),
                (b"content-length", b"%d" % len(pieces[0])),
            )
        return Hit(headers, pieces)

    def _save(self, entry: Entry) -> None:
        self._saved_usd.value += entry.cost_usd
        self._saved_input.value += entry.prompt_tokens
        self._saved_output.value += entry.completion_tokens

    async def run(self, ctx: RequestContext, generate: Generate) -> None:
        """Answer from the cache, or let `generate` answer and keep that."""
        wish = wish_of(ctx)
        if wish is None:
            self._bypass(ctx)
            await generate(ctx)
            return
        leads = kept = False
        try:
            found = None
            if wish.reads:
                found = await self._look(ctx, wish)
                waiting = self._flights.get(wish.key)
                if found is None and waiting is not None:
                    await self._wait(ctx, waiting)
                    found = await self._look(ctx, wish, news=True)
                elif found is None:
                    leads = True
                    self._flights[wish.key] = []
                    found = await self._from_others(ctx, wish)
            if found is not None:
                await self._replay(ctx, found)
                return
            ask = self._ask if wish.items is None else self._ask_items
            kept = await ask(ctx, wish, generate)
        finally:
            if leads:
                self._land(wish.key)
                if not kept:
                    self._answers.free_soon(wish.key)

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

    async def _wait(self, ctx: RequestContext, waiting: list[asyncio.Future[None]]) -> None:
        loop = asyncio.get_running_loop()
        place = ctx.waits_for = loop.create_future()
        waiting.append(place)
        until = loop.time() + _LONGEST_WAIT_S
        try:
            async with asyncio.timeout_at(until if ctx.deadline is None else min(until, ctx.deadline)):
                await place
        except TimeoutError:
            return
        except asyncio.CancelledError:
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

    async def _ask(self, ctx: RequestContext, wish: Wish, generate: Generate) -> bool:
        self._outcomes["miss"].value += 1
        ctx.cache = b"miss"
        asked = ctx.chain[0]
        recorder = ctx.send = Recorder(ctx.send)
        ctx.cycle = None  # what is answered goes through the recorder
        await generate(ctx)
        entry = self._entry(ctx, wish, recorder, asked)
        if entry is not None:
            self._answers.keep(wish.key, {wish.key: entry}, self._clock.now())
        return entry is not None

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

    def _land(self, key: bytes) -> None:
        for place in self._flights.pop(key, ()):
            if not place.done():
                place.set_result(None)

    def _entry(self, ctx: RequestContext, wish: Wish, recorder: "Recorder", asked: ModelEntry) -> Entry | None:
        # What another model answered than the one asked for is not kept: it would be given for it long after.
        if not recorder.complete or ctx.status != "ok" or ctx.gone or ctx.model is not asked:
            return None
        data = b"".join(recorder.pieces)
        if _UNFINISHED.search(data) or not (ctx.body.stream or len(recorder.pieces) == 1):
            return None
        if ctx.endpoint.kind == "embedding" and not cache_items.is_part(data):
            return None
        calls = not _TOOLS.isdisjoint(ctx.body.native or ctx.fields) and any(mark in data for mark in _CALLS)
        if calls and not wish.policy.tool_calls:
            return None
        usage, kept = ctx.usage, kept_of(ctx, recorder.pieces)
        return Entry(
            tenant=ctx.key.tenant,
            model=asked.name,
            key_id=ctx.key.key_id,
            # an answer that is given again costs nothing
            pieces=tuple(_COST.sub(_FREE, piece) for piece in kept.pieces) if ctx.body.stream else tuple(kept.pieces),
            stored_at=ctx.at,
            ttl_s=wish.policy.ttl_s,
            prompt_tokens=usage.prompt_tokens if usage else 0,
            completion_tokens=usage.completion_tokens if usage else 0,
            cost_usd=ctx.cost or 0.0,
            streamed=ctx.body.stream,
            usage=_COST.sub(_FREE, kept.usage),
        )

    async def _replay(self, ctx: RequestContext, ready: Ready) -> None:
        try:
            headers, pieces = self.hit(ctx, ready)
        except DependencyUnavailable as exc:
            raise unaccounted() from exc
        self._before_end(ctx)
        try:
            await ctx.send({"type": "http.response.start", "status": _OK, "headers": headers})
            for piece in pieces[:-1]:
                await ctx.send({"type": "http.response.body", "body": piece, "more_body": True})
            await ctx.send({"type": "http.response.body", "body": pieces[-1]})
        except OSError as exc:
            raise Gone from exc


def _ready(ctx: RequestContext, wish: Wish, found: Found, now: float) -> Ready | None:
    if now - found.entry.stored_at > wish.max_age:
        return None
    ctx.model = ctx.chain[0]
    pieces = shown(ctx, found.entry)
    return None if pieces is None else Ready(found, pieces)


def _ready_list(ctx: RequestContext, items: Items) -> Ready | None:
    ctx.model = ctx.chain[0]
    found = cache_items.whole(ctx, items)
    return None if found is None else Ready(*found)


class Recorder:
    """Passes an answer on to the client, and keeps its pieces as long as they are not too much."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._size = 0
        self._status = 0
        self.pieces: list[bytes] = []
        self.complete = False

    async def __call__(self, message: Message) -> None:
        """Pass one message on."""
        await self._send(message)
        if message["type"] == "http.response.start":
            self._status = message["status"]
            return
        body = message.get("body", b"")
        self._size += len(body)
        if body and self._size <= _MOST_BYTES:
            self.pieces.append(body)
        fits = self._size <= _MOST_BYTES and bool(self.pieces)
        self.complete = fits and self._status == _OK and not message.get("more_body", False)
