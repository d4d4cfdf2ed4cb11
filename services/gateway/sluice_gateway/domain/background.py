"""Responses in the background: what is kept of one that has no answer yet, how it goes on, and the ports for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import orjson

from sluice_gateway.domain.batches import OnBehalf, Said
from sluice_gateway.domain.responses import StoredResponse

ENDPOINT = "/v1/responses"
APART = b"x-sluice-apart"
"""The header with which a request to /v1/responses adds nothing to the conversation that it goes on from."""

STANDS_APART: Mapping[str, str] = MappingProxyType({APART.decode(): "1"})
_PREFIX = b"x-sluice-"
_NOT_SENT_AGAIN = frozenset({APART, b"x-sluice-deadline-ms"})
_ASKED_OTHERWISE = frozenset({"background", "stream", "stream_options", "store"})
_SHORTEST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 60.0
_LONGEST_ASKED_FOR_S = 600.0
_BROKEN = 500

Json = dict[str, Any]


class Aside(NamedTuple):
    """A request that was admitted and is to be asked later: its body and its headers of ours."""

    body: str
    headers: str


@dataclass(frozen=True, slots=True)
class BackgroundWork:
    """A response that a worker has taken; `response` is what it is so far. Times are unix seconds."""

    id: str
    on_behalf: OnBehalf
    previous_id: str | None
    body: bytes
    headers: Mapping[str, str]
    response: Json
    input_size: int
    created_at: int
    expires_at: float


class Candidate(NamedTuple):
    """A response that may be taken, and whose it is."""

    id: str
    tenant: str


class TooManyUnfinished(Exception):
    """The tenant has as many unfinished responses as it may have."""


class BackgroundBegins(Protocol):
    """Where responses in the background begin.

    Degraded mode: while the database is away DependencyUnavailable is raised, and the request is refused (503).
    """

    async def begin(self, response: StoredResponse, aside: Aside, expires_at: float) -> None:
        """Keep a response that is queued; when this returns it survives the end of every process.

        Raises:
            TooManyUnfinished: the tenant has too many.
        """
        ...


class BackgroundBook(Protocol):
    """Where workers find responses in the background; every write looks first whether the response is still theirs.

    Degraded mode: while the database is away every method raises DependencyUnavailable. Nothing is lost by it: what was not
    written is asked again.
    """

    async def due(self, now: float, limit: int, without: Sequence[str]) -> Sequence[Candidate]:
        """Return responses that wait, or whose worker was lost, those first that wait for longest; none of some tenants."""
        ...

    async def take(self, response_id: str, owner: str, now: float, lease_s: float) -> BackgroundWork | None:
        """Take a response; None when there is nothing to do for it now."""
        ...

    async def held(self, owner: str) -> frozenset[str]:
        """Return the ids of those that are this worker's: none that was cancelled, deleted or taken over."""
        ...

    async def hold(self, owner: str, until: float) -> None:
        """Prolong the leases of a worker."""
        ...

    async def finish(self, work: BackgroundWork, owner: str, response: Json, now: float, keep_s: int) -> bool:
        """Write what became of a response, with all that it adds to its conversation; False when it is no longer the worker's."""
        ...

    async def release(self, response_id: str, owner: str, look_at: float) -> None:
        """Give a response back, for any worker to take from `look_at` on."""
        ...

    async def unfinished(self) -> int:
        """Return how many responses of all tenants have no answer."""
        ...


def headers_again(headers: Sequence[tuple[bytes, bytes]]) -> str:
    """Return the headers of a request that say how it is meant, as JSON: those of ours."""
    kept = {
        name.decode("latin-1"): value.decode("latin-1")
        for name, value in headers
        if name.startswith(_PREFIX) and name not in _NOT_SENT_AGAIN
    }
    return orjson.dumps(kept).decode()


def body_again(fields: Json, prompt_version: int | None) -> str:
    """Return the body that is asked later for one that came, as JSON: a whole answer, which the asker keeps.

    A stored prompt is named by the version that was found, so that what is asked is what was admitted.
    """
    kept = {name: value for name, value in fields.items() if name not in _ASKED_OTHERWISE}
    if prompt_version is not None and isinstance(kept.get("prompt"), dict):
        kept["prompt"] = {**kept["prompt"], "version": str(prompt_version)}
    return orjson.dumps({**kept, "store": False}).decode()


def pause_after_refusal(waits_s: float, asked_s: float | None) -> float:
    """Return the seconds until a request that found no room is asked again: a tenth of what it has waited, or what the refusal asks for."""
    own = min(_LONGEST_PAUSE_S, max(_SHORTEST_PAUSE_S, waits_s / 10))
    return max(own, min(asked_s or 0.0, _LONGEST_ASKED_FOR_S))


def answered(begun: Json, said: Said, now: float) -> Json:
    """Return what became of a response, from what the gateway answered."""
    found = _object(said.body)
    if said.status != 200 or not isinstance(found.get("output"), list):
        error = found.get("error")
        told = error if isinstance(error, dict) else {}
        code = "server_error" if said.status >= _BROKEN else "invalid_prompt"
        return failed(begun, told.get("code") or code, told.get("message") or f"Answered with status {said.status}.")
    kept: Json = {name: begun[name] for name in ("id", "created_at", "conversation") if name in begun}
    ended = "completed" if found.get("status") == "completed" else None
    return {**found, **kept, "background": True, "store": True, **({"completed_at": int(now)} if ended else {})}


def failed(begun: Json, code: str, message: str) -> Json:
    """Return a response that failed, with the reason."""
    return {**begun, "status": "failed", "error": {"code": code, "message": message}}


def refused(begun: Json, said: Said | None, reason: str) -> Json:
    """Return a response that failed since no answer came that counts; `said` is what came."""
    return failed(begun, "server_error", reason) if said is None else answered(begun, said, 0.0)


def _object(body: bytes) -> Json:
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}
