"""What a batch is, what may happen to it, and the ports that its worker needs."""

import hashlib
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, NamedTuple, Protocol

from sluice.contracts.batches import BatchCreate, BatchError, BatchStatus
from sluice.contracts.files import FileObject
from sluice_gateway.domain.file_errors import BatchRefused
from sluice_gateway.domain.files import BATCH_INPUT

ENDED: frozenset[BatchStatus] = frozenset({"failed", "completed", "expired", "cancelled"})
OPEN: frozenset[BatchStatus] = frozenset({"validating", "in_progress", "finalizing", "cancelling"})
IDEMPOTENCY_WINDOW_S = 24 * 3600
WORKER_SUBJECT = "gateway-batch-worker"
NO_HEADERS: Mapping[str, str] = MappingProxyType({})

Outcome = Literal["completed", "failed", "expired", "cancelled"]
Held = Literal["ours", "cancelling", "lost"]

REQUIRED_FIELDS: Mapping[str, str] = {
    "/v1/chat/completions": "messages",
    "/v1/completions": "prompt",
    "/v1/embeddings": "input",
    "/v1/responses": "input",
    "/v1/messages": "messages",
    "/v1/rerank": "query",
    "/v1/moderations": "input",
}
"""The endpoints that batches may ask, and what a request's body must have besides `model`."""
DEFAULT_MODELS: Mapping[str, str] = {"/v1/moderations": "sluice-guardrail"}
"""What answers where a request may leave its model out."""

_WINDOW = re.compile(r"([1-9][0-9]{0,2})h")
_LONGEST_WINDOW_H = 168
_FIRST_REST_S = 5.0
_LONGEST_REST_S = 600.0


class BatchKey(NamedTuple):
    """Which batch, of which tenant."""

    tenant: str
    batch_id: str


class OnBehalf(NamedTuple):
    """For whom a batch asks the gateway: an API key, by its id, and the tenant that owns it."""

    tenant: str
    key_id: str


class Tokens(NamedTuple):
    """Tokens of an answer, as its provider counted them."""

    input: int = 0
    cached: int = 0
    output: int = 0
    reasoning: int = 0


class LineAnswer(NamedTuple):
    """The answer to a line (counted from 1) as it will stand in a file; `ok` says in which of the two."""

    line: int
    ok: bool
    text: str
    tokens: Tokens = Tokens()


@dataclass(frozen=True, slots=True)
class Work:
    """A batch that a worker has taken."""

    key: BatchKey
    on_behalf: OnBehalf
    status: BatchStatus
    outcome: Outcome | None
    endpoint: str
    input_file_id: str
    expires_at: int
    output_keep_s: int
    total: int
    completed: int
    failed: int


class Counted(NamedTuple):
    """What a batch's input holds."""

    requests: int
    model: str | None


class BatchBook(Protocol):
    """Where batches are kept; every write looks first whether the batch is still the worker's.

    Degraded mode: while the database is away every method raises DependencyUnavailable. Nothing is lost by it: what was not
    written is asked again.
    """

    async def take(self, key: BatchKey, owner: str, now: float, lease_s: float) -> Work | None:
        """Take a batch that waits or whose worker was lost; None if there is nothing to do for it here."""
        ...

    async def hold(self, key: BatchKey, owner: str, until: float) -> Held:
        """Prolong the lease, and learn whether the batch is to be cancelled, or no longer ours."""
        ...

    async def begin(self, key: BatchKey, owner: str, found: Counted, now: float) -> None:
        """Note that the input is right, or raise BatchLost."""
        ...

    async def reject(self, key: BatchKey, owner: str, errors: Sequence[BatchError], now: float) -> None:
        """End a batch whose input cannot be used, or raise BatchLost."""
        ...

    async def answered(self, key: BatchKey) -> AbstractSet[int]:
        """Return the numbers of the lines that have their answer."""
        ...

    async def write(self, key: BatchKey, owner: str, answers: Sequence[LineAnswer]) -> None:
        """Keep answers, the first of each line only, or raise BatchLost."""
        ...

    async def close(
        self, key: BatchKey, owner: str, outcome: Outcome, errors: Sequence[BatchError], now: float
    ) -> Work:
        """Decide how the batch ends; from now on no line is asked. Raises BatchLost."""
        ...

    def answers(self, key: BatchKey, *, ok: bool) -> AsyncIterator[LineAnswer]:
        """Yield the good answers or the others, in the order of the lines."""
        ...

    async def finish(self, key: BatchKey, owner: str, files: "BatchFiles", now: float) -> None:
        """Show the files, end the batch and forget its answers, all or nothing; or raise BatchLost."""
        ...

    async def release(self, key: BatchKey, owner: str, look_at: float) -> None:
        """Give the batch back unfinished, for any worker to take; the sweep sends it at `look_at`."""
        ...

    async def others_wait(self, than: str | None = None) -> bool:
        """Tell whether a batch waits that no worker holds, of other tenants `than` one if that is named."""
        ...


class BatchFiles(NamedTuple):
    """The files of a batch that has ended; `unanswered` counts the lines that nobody asked."""

    output: FileObject | None
    errors: FileObject | None
    unanswered: int


class Said(NamedTuple):
    """What the endpoint answered to a request."""

    status: int
    request_id: str
    body: bytes


class NotAnswered(Exception):
    """A request has no answer that counts.

    `busy`: the gateway or the model has no room, or the gateway cannot be reached; to be asked again, after `after_s` if that is
    given. `spent`: the room that is missing is in a budget, whose period ends after `after_s`. Else something broke. `said` is
    what was answered all the same. `too_large`: it was answered, and paid for, and cannot be kept; to ask again would cost as much.
    """

    def __init__(
        self,
        reason: str,
        *,
        busy: bool = False,
        spent: bool = False,
        after_s: float | None = None,
        said: Said | None = None,
        too_large: bool = False,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.busy = busy
        self.spent = spent
        self.after_s = after_s
        self.said = said
        self.too_large = too_large


class KeyRefused(Exception):
    """The gateway does not know the API key of a batch, or not any more."""


class BatchTarget(Protocol):
    """The gateway's own request path, asked with the rights of an API key."""

    async def ask(
        self, who: OnBehalf, endpoint: str, body: bytes, timeout_s: float, headers: Mapping[str, str] = NO_HEADERS
    ) -> Said:
        """Ask one request, with headers of its own, and return what was answered, also when that is a refusal.

        Raises:
            NotAnswered: there is no answer that counts.
            KeyRefused: the gateway does not take the key.
        """
        ...


class KeyCheck(Protocol):
    """Says whether a key that a gateway refused works after all: one that has just started may not have read it yet."""

    async def works(self, who: OnBehalf) -> bool:
        """Tell whether the key works; True while nobody knows."""
        ...


class BatchQueue(Protocol):
    """Tells workers that a batch waits.

    Degraded mode: while the queue is away the batch is kept, and the sweep sends it once the queue is back.
    """

    async def send(self, key: BatchKey) -> bool:
        """Send a batch to the workers; False if the queue cannot be reached now."""
        ...


def pause_after_loss(workers: int) -> float:
    """Return the seconds for which a batch rests that lost so many workers in a row without progress: none for the first.

    A batch that kills its workers thus costs less and less, and none is ever given up before its time.
    """
    return 0.0 if workers < 2 else min(_LONGEST_REST_S, _FIRST_REST_S * 2.0 ** (workers - 2))


def check_wish(wish: BatchCreate, file: FileObject, max_bytes: int) -> None:
    """Raise BatchRefused if the batch cannot be made as it is asked for."""
    if wish.endpoint not in REQUIRED_FIELDS:
        raise BatchRefused(f"`endpoint`: batches may ask {', '.join(REQUIRED_FIELDS)}; not {wish.endpoint!r}.")
    window_s(wish.completion_window)
    if file.purpose != BATCH_INPUT:
        raise BatchRefused(
            f"`input_file_id`: the file {file.id} has the purpose `{file.purpose}`; upload it with `{BATCH_INPUT}`."
        )
    if file.bytes > max_bytes:
        raise BatchRefused(
            f"`input_file_id`: a batch's input may have {max_bytes} bytes; split it into several batches."
        )


def window_s(window: str) -> int:
    """Return the seconds of a completion window, or raise BatchRefused."""
    found = _WINDOW.fullmatch(window)
    if found is None or int(found.group(1)) > _LONGEST_WINDOW_H:
        raise BatchRefused(f"`completion_window`: send `24h`, or another number of hours up to `{_LONGEST_WINDOW_H}h`.")
    return int(found.group(1)) * 3600


def repetition_digest(tenant: str, key_id: str, idempotency_key: str) -> str:
    """Return the name under which a repeated creation finds the first one."""
    return hashlib.sha256(f"{tenant}\x00{key_id}\x00{idempotency_key}".encode()).hexdigest()


def wish_digest(wish: BatchCreate) -> str:
    """Return the digest that tells whether a repeated creation asks for the same."""
    return hashlib.sha256(wish.model_dump_json().encode()).hexdigest()
