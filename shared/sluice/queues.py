"""Every stream, channel and job of the platform in one typed list, and the code that moves them.

Streams deliver at least once: consumers are idempotent by the event's id. Payloads carry ids, not documents, and every
payload ever released keeps parsing.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from pydantic import ValidationError
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from sluice.contracts.base import Reply
from sluice.contracts.feedback import FeedbackRecorded
from sluice.contracts.usage import UsageRecorded
from sluice.redis import REDIS_DOWN

_log = logging.getLogger(__name__)
Payload = TypeVar("Payload", bound=Reply)
Item = TypeVar("Item")
Entry = Mapping[bytes, bytes]


class RoutingChanged(Reply):
    """A new routing snapshot is published."""

    v: int = 1
    version: int


class RegistryChanged(Reply):
    """Models, routes, policies or aliases were changed through the API; routers read what is new."""

    v: int = 1
    version: int


class CacheInvalidated(Reply):
    """Kept answers that are older than `at` (unix seconds) count no more; `scope` is all, tenant:…, model:… or key:…."""

    v: int = 1
    scope: str
    at: float


class PricesChanged(Reply):
    """Administrators set or deleted a price of a model."""

    v: int = 1


class KeysChanged(Reply):
    """A key of the gateway changed, or a team or organisation and with it its keys; none of the three means all.

    Gateways that know keys only read everything again when a team or organisation changed.
    """

    v: int = 1
    key_id: str | None = None
    team_id: str | None = None
    organization_id: str | None = None


class DeploymentRested(Reply):
    """A gateway process leaves a deployment alone until `until` (Unix time), and the others shall too.

    `opened`: it failed `failures` times in a row. `limited`: it asked for the pause. `trial`: its rest is over and `sender`,
    a gateway process, tries it now. `closed`: it has answered, and nobody needs to leave it alone. What is in force also lies in
    `rest_key(deployment)`, which expires with it.
    """

    v: int = 1
    deployment: str
    event: Literal["opened", "limited", "trial", "closed"]
    until: float
    failures: int = 0
    sender: str = ""


class IngestDocument(Reply):
    """Chunk, embed and index one document."""

    v: int = 1
    tenant: str
    vector_store_id: str
    document_id: str


class RunFinetuneJob(Reply):
    """Bring a fine-tuning job to its next state."""

    v: int = 1
    tenant: str
    job_id: str


class RunEval(Reply):
    """Run an evaluation."""

    v: int = 1
    tenant: str
    run_id: str


class RunBatch(Reply):
    """Answer the requests of a batch."""

    v: int = 1
    tenant: str
    batch_id: str


class Found(NamedTuple, Generic[Item]):
    """What an entry of a stream holds: items for its handler, and rows that are none."""

    items: list[Item]
    unreadable: list[bytes]


@dataclass(frozen=True, slots=True)
class Stream(Generic[Payload]):
    """An append-only Redis stream; `keep` bounds its length in entries.

    An entry holds one payload as JSON in the field `d`, or many: their fields' names as a JSON array in `columns`, and in
    `rows` an array of arrays with their values.
    """

    name: str
    payload: type[Payload]
    keep: int = 1_000_000

    @property
    def dead_letters(self) -> str:
        """The stream that takes what could not be handled."""
        return f"{self.name}.dead"

    def read(self, entry: Entry) -> Found[Payload]:
        """Return an entry's payloads; raises ValueError, KeyError or TypeError when it is none."""
        if b"rows" not in entry:
            return Found([self.payload.model_validate_json(entry[b"d"])], [])
        columns = json.loads(entry[b"columns"])
        found: Found[Payload] = Found([], [])
        for row in json.loads(entry[b"rows"]):
            try:
                # A newer producer's further columns are ignored, an older one's missing ones have their defaults.
                found.items.append(self.payload.model_validate(dict(zip(columns, row, strict=False))))
            except (ValidationError, TypeError):
                found.unreadable.append(json.dumps(row).encode())
        return found


@dataclass(frozen=True, slots=True)
class Channel(Generic[Payload]):
    """A Redis pub/sub channel: a hint to look again, never the only copy of a fact."""

    name: str
    payload: type[Payload]


@dataclass(frozen=True, slots=True)
class Task(Generic[Payload]):
    """A Celery task: its name, its queue (one per service) and what it carries."""

    name: str
    queue: str
    payload: type[Payload]


# An entry of usage carries up to 128 KiB; what waits longer waits in the gateways' journals.
USAGE = Stream("sluice.usage.v1", UsageRecorded, keep=2048)
FEEDBACK = Stream("sluice.feedback.v1", FeedbackRecorded)
STREAMS: tuple[Stream[UsageRecorded] | Stream[FeedbackRecorded], ...] = (USAGE, FEEDBACK)

ROUTING_CHANGED = Channel("sluice:routing:changed", RoutingChanged)
REGISTRY_CHANGED = Channel("sluice:registry:changed", RegistryChanged)
KEYS_CHANGED = Channel("sluice:keys:changed", KeysChanged)
DEPLOYMENT_RESTED = Channel("sluice:deployments:rested", DeploymentRested)
PRICES_CHANGED = Channel("sluice:prices:changed", PricesChanged)
CACHE_INVALIDATED = Channel("sluice:cache:invalidated", CacheInvalidated)
CHANNELS: tuple[
    Channel[RoutingChanged]
    | Channel[RegistryChanged]
    | Channel[KeysChanged]
    | Channel[DeploymentRested]
    | Channel[PricesChanged]
    | Channel[CacheInvalidated],
    ...,
] = (ROUTING_CHANGED, REGISTRY_CHANGED, KEYS_CHANGED, DEPLOYMENT_RESTED, PRICES_CHANGED, CACHE_INVALIDATED)


def rest_key(deployment: str) -> str:
    """Return the Redis key with the last `DeploymentRested` of a deployment, as long as it rests."""
    return f"sluice:deployment:rest:{deployment}"


INGEST_DOCUMENT = Task("retrieval.ingest_document", "retrieval", IngestDocument)
RUN_FINETUNE_JOB = Task("finetune.run_job", "finetune", RunFinetuneJob)
RUN_EVAL = Task("eval.run", "eval", RunEval)
RUN_BATCH = Task("gateway.run_batch", "gateway", RunBatch)
TASKS: tuple[Task[IngestDocument] | Task[RunFinetuneJob] | Task[RunEval] | Task[RunBatch], ...] = (
    INGEST_DOCUMENT,
    RUN_FINETUNE_JOB,
    RUN_EVAL,
    RUN_BATCH,
)


async def append(redis: Redis, stream: Stream[Payload], events: Sequence[Payload]) -> None:
    """Append events in order, all or none."""
    async with redis.pipeline(transaction=True) as pipe:
        for item in events:
            pipe.xadd(stream.name, {b"d": item.model_dump_json()}, maxlen=stream.keep, approximate=True)
        await pipe.execute()


# Entries that every group has handled are trimmed, and no others: when the slowest group is as far behind as the stream may
# be long, nothing is appended.
_APPEND_ROWS = """
local keep, needed = tonumber(ARGV[1]), nil
if redis.call('EXISTS', KEYS[1]) == 1 then
  local groups = redis.call('XINFO', 'GROUPS', KEYS[1])
  if #groups == 0 and redis.call('XLEN', KEYS[1]) >= keep then return 0 end
  for _, group in ipairs(groups) do
    local facts = {}
    for i = 1, #group, 2 do facts[group[i]] = group[i + 1] end
    local pending = tonumber(facts['pending']) or 0
    if pending + (tonumber(facts['lag']) or 0) >= keep then return 0 end
    local from = facts['last-delivered-id']
    if pending > 0 then from = redis.call('XPENDING', KEYS[1], facts['name'])[2] end
    local ms, seq = string.match(from, '(%d+)-(%d+)')
    ms, seq = tonumber(ms), tonumber(seq)
    if not needed or ms < needed[1] or (ms == needed[1] and seq < needed[2]) then needed = {ms, seq, from} end
  end
  if needed then redis.call('XTRIM', KEYS[1], 'MINID', '~', needed[3]) end
end
redis.call('XADD', KEYS[1], '*', 'columns', ARGV[2], 'rows', ARGV[3])
return 1
"""


class RowAppender(Generic[Payload]):
    """Appends many payloads as one entry, for producers that have them as rows of JSON already."""

    def __init__(self, redis: Redis, stream: Stream[Payload]) -> None:
        self._script = redis.register_script(_APPEND_ROWS)
        self._stream = stream

    async def __call__(self, columns: bytes, rows: bytes) -> bool:
        """Append a JSON array of rows; False, and nothing appended, when a group of consumers is too far behind."""
        return bool(await self._script(keys=[self._stream.name], args=[self._stream.keep, columns, rows]))


async def publish(redis: Redis, channel: Channel[Payload], message: Payload) -> None:
    """Tell all subscribers; nobody may be listening."""
    await redis.publish(channel.name, message.model_dump_json())


async def subscribe(
    redis: Redis, channel: Channel[Payload], *, on_connect: Callable[[], Awaitable[None]] | None = None
) -> AsyncIterator[Payload]:
    """Yield messages until cancelled; reconnects by itself.

    `on_connect` runs after each (re)connection: what was published in between is lost, so read the truth there.
    """
    pause = 0.2
    while True:
        pubsub = redis.pubsub()
        try:
            await pubsub.subscribe(channel.name)
            while True:
                message = await pubsub.get_message(timeout=None)
                if message is None:
                    continue
                if message["type"] == "message":
                    yield channel.payload.model_validate_json(message["data"])
                elif message["type"] == "subscribe":
                    # redis-py reconnects by itself; the server's confirmation is the one sign of it.
                    pause = 0.2
                    if on_connect is not None:
                        await on_connect()
        except ValidationError:
            _log.exception("unreadable message on %s", channel.name)
        except REDIS_DOWN as exc:
            _log.warning(
                "subscription to %s lost (%s); trying again in %.1f s", channel.name, type(exc).__name__, pause
            )
            await asyncio.sleep(pause)
            pause = min(pause * 2, 5.0)
        finally:
            await pubsub.aclose()  # type: ignore[no-untyped-call]


Handler = Callable[[Sequence[Item]], Awaitable[None]]


@dataclass(slots=True)
class StreamConsumer(Generic[Item]):
    """Reads a stream as one consumer of a group and hands batches to `handle`, which must be idempotent.

    `read` tells what an entry holds (`stream.read`: its payloads). The first entry after a pause waits `gather_s` for others, so
    that a batch under load is large. A batch is acknowledged when `handle` returns. When it raises, the entries stay pending, are delivered again, and
    after `max_deliveries` go to the stream's dead-letter stream. Entries of a consumer that died are taken over after
    `claim_after_ms`. When Redis is away it waits and goes on where it was.
    """

    redis: Redis
    stream: Stream[Any]
    read: Callable[[Entry], Found[Item]]
    group: str
    consumer: str
    handle: Handler[Item]
    batch: int = 200
    gather_s: float = 0.0
    block_ms: int = 5000
    claim_after_ms: int = 15_000
    max_deliveries: int = 5
    on_dead_letter: Callable[[int], None] = field(default=lambda count: None)

    async def run(self) -> None:
        """Consume until cancelled."""
        pause = 0.2
        while True:
            try:
                await self._ensure_group()
                await self._read_own_pending()
                pause = 0.2
                while True:
                    await self._take_over()
                    await self._read_new()
            except REDIS_DOWN as exc:
                _log.warning(
                    "stream %s: Redis is away (%s); trying again in %.1f s", self.stream.name, type(exc).__name__, pause
                )
                await asyncio.sleep(pause)
                pause = min(pause * 2, 5.0)
            except ResponseError as exc:
                if "NOGROUP" not in str(exc):  # a Redis that lost its data: make the group again
                    raise

    async def _ensure_group(self) -> None:
        try:
            await self.redis.xgroup_create(self.stream.name, self.group, id="0", mkstream=True)
        except ResponseError as exc:
            if "BUSYGROUP" not in str(exc):
                raise

    async def _read_own_pending(self) -> None:
        # What this consumer had read before it was killed comes first.
        last = b"0"
        while True:
            reply = await self.redis.xreadgroup(self.group, self.consumer, {self.stream.name: last}, count=self.batch)
            entries = _entries(reply)
            if not entries:
                return
            last = entries[-1][0]
            await self._process(entries)

    async def _read_new(self) -> None:
        reply = await self.redis.xreadgroup(
            self.group, self.consumer, {self.stream.name: b">"}, count=self.batch, block=self.block_ms
        )
        entries = _entries(reply)
        if not entries:
            return
        if self.gather_s and len(entries) < self.batch:
            await asyncio.sleep(self.gather_s)
            more = self.batch - len(entries)
            entries += _entries(
                await self.redis.xreadgroup(self.group, self.consumer, {self.stream.name: b">"}, count=more)
            )
        await self._process(entries)

    async def _take_over(self) -> None:
        reply = await self.redis.xautoclaim(
            self.stream.name, self.group, self.consumer, min_idle_time=self.claim_after_ms, count=self.batch
        )
        claimed = [(entry_id, values) for entry_id, values in reply[1] if values]
        if not claimed:
            return
        pending = await self.redis.xpending_range(
            self.stream.name, self.group, claimed[0][0], claimed[-1][0], count=len(claimed), consumername=self.consumer
        )
        tries = {row["message_id"]: int(row["times_delivered"]) for row in pending}
        spent = [entry for entry in claimed if tries.get(entry[0], 0) > self.max_deliveries]
        if spent:
            await self._bury(spent)
        gone = {entry_id for entry_id, _ in spent}
        await self._process([entry for entry in claimed if entry[0] not in gone])

    async def _process(self, entries: Sequence[tuple[bytes, dict[bytes, bytes]]]) -> None:
        good: list[Item] = []
        bad: list[tuple[bytes, dict[bytes, bytes]]] = []
        bad_rows: list[tuple[bytes, dict[bytes, bytes]]] = []
        for entry_id, values in entries:
            try:
                found = self.read(values)
            except (ValueError, KeyError, TypeError):
                bad.append((entry_id, values))
                continue
            good += found.items
            bad_rows += [(entry_id, {b"d": row}) for row in found.unreadable]
        if bad:
            await self._bury(bad)
        buried = {entry_id for entry_id, _ in bad}
        left = [entry_id for entry_id, _ in entries if entry_id not in buried]
        if good:
            try:
                await self.handle(good)
            except Exception:  # noqa: BLE001 - the top of a consumer: logged; entries stay pending and come again
                _log.exception(
                    "stream %s: a batch of %d was not handled; it will be delivered again", self.stream.name, len(good)
                )
                await asyncio.sleep(1.0)
                return
        if bad_rows:
            await self._bury(bad_rows, acknowledge=False)
        if left:
            await self.redis.xack(self.stream.name, self.group, *left)

    async def _bury(self, entries: Sequence[tuple[bytes, dict[bytes, bytes]]], *, acknowledge: bool = True) -> None:
        async with self.redis.pipeline(transaction=True) as pipe:
            for entry_id, values in entries:
                pipe.xadd(
                    self.stream.dead_letters,
                    {b"id": entry_id, b"d": values.get(b"d") or values.get(b"rows", b"")},
                    maxlen=100_000,
                    approximate=True,
                )
                if acknowledge:
                    pipe.xack(self.stream.name, self.group, entry_id)
            await pipe.execute()
        _log.error("stream %s: %d entries went to %s", self.stream.name, len(entries), self.stream.dead_letters)
        self.on_dead_letter(len(entries))


def _entries(reply: object) -> list[tuple[bytes, dict[bytes, bytes]]]:
    # redis-py answers RESP2 as [[stream, entries]] and RESP3 as {stream: [entries]}.
    if not reply:
        return []
    if isinstance(reply, dict):
        lists = next(iter(reply.values()))
        found = lists[0] if lists and isinstance(lists[0], list) else lists
        return list(found)
    assert isinstance(reply, list)
    return list(reply[0][1])
