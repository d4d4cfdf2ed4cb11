"""Every stream, channel and job of the platform in one typed list, and the code that moves them.

Streams deliver at least once: consumers are idempotent by the event's id. Payloads carry ids, not documents, and every
payload ever released keeps parsing.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, NamedTuple, TypeVar

from pydantic import ValidationError
from redis.asyncio import Redis
from redis.exceptions import TimeoutError as RedisTimeoutError

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


async def publish(redis: Redis, channel: Channel[Payload], message: Payload, *, within_s: float = 2.0) -> None:
    """Tell all subscribers; nobody may be listening.

    Raises:
        OSError or RedisError: Redis cannot be reached, or does not answer within `within_s` seconds.
    """
    async with asyncio.timeout(within_s):
        await redis.publish(channel.name, message.model_dump_json())


async def subscribe(
    redis: Redis,
    channel: Channel[Payload],
    *,
    on_connect: Callable[[], Awaitable[None]] | None = None,
    quiet_s: float = 30.0,
) -> AsyncIterator[Payload]:
    """Yield messages until cancelled; reconnects by itself.

    `on_connect` runs after each (re)connection: what was published in between is lost, so read the truth there. After `quiet_s`
    seconds without a message Redis is asked whether it is there; a connection on which it does not answer as long again is given up.
    """
    pause = 0.2
    while True:
        pubsub = redis.pubsub()
        try:
            await pubsub.subscribe(channel.name)
            asked = False
            while True:
                message = await pubsub.get_message(timeout=quiet_s)
                if message is None:
                    if asked:
                        raise RedisTimeoutError("the connection is silent")
                    asked = True
                    await pubsub.ping()
                    continue
                asked = False
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
