"""Beginning a response in the background: it is kept as queued, and the client is told so at once; a worker asks for it later.

With `stream` the client is told how it goes on for as long as it stays, as `GET /v1/responses/{id}?stream=true` tells it.
"""

from collections.abc import AsyncIterator
from typing import Protocol

from sluice.errors import DependencyUnavailable
from sluice.telemetry.metrics import MetricRegistry
from sluice_gateway.dataplane.answers import SSE, decision_headers
from sluice_gateway.dataplane.body import Fields
from sluice_gateway.dataplane.context import Keeping, RequestContext
from sluice_gateway.dataplane.errors import ApiError, InvalidRequest, LimitReached, Unavailable, wrong_value
from sluice_gateway.dataplane.foreign import asked
from sluice_gateway.dataplane.keeping import to_store
from sluice_gateway.dataplane.sending import refuse, send_json
from sluice_gateway.dataplane.table import ModelEntry
from sluice_gateway.domain.background import (
    Aside,
    BackgroundBegins,
    TooManyUnfinished,
    body_again,
    headers_again,
)
from sluice_gateway.domain.responses import ResponsesKept, StoredResponse
from sluice_gateway.translate.responses.stream import EventsOut

_OK = 200
_RETRY = ((b"retry-after", b"10"),)


class Follows(Protocol):
    """Tells how a response in the background goes on, as server-sent events."""

    def events(self, tenant: str, response_id: str, starting_after: int) -> AsyncIterator[bytes]:
        """Yield events, or nothing now and then, until the response has ended or has been waited for long enough."""
        ...


def wanted(fields: Fields) -> bool:
    """Tell whether a request is to be answered in the background.

    Raises:
        InvalidRequest: nobody can tell, or it is not to be kept, where its answer would be found.
    """
    found = fields.get("background")
    if found is not None and type(found) is not bool:
        raise wrong_value("background", "must be true or false.")
    if found is True and fields.get("store") is False:
        raise InvalidRequest(
            "`background` needs `store`: what is answered in the background is found where responses are kept. Leave one of them out.",
            param="store",
            code="mutually_exclusive_parameters",
        )
    return found is True


def admit_aside(ctx: RequestContext, given: Fields) -> Aside:
    """Return what is to be asked later of a request that came with `background`; `given` is its body as it came.

    Raises:
        InvalidRequest: nothing is kept here, or no deployment of the model could be asked so.
    """
    if ctx.body.untranslatable is not None and not any(map(_has_the_api, ctx.chain)):
        raise ctx.body.untranslatable
    if ctx.keeping is None:
        raise InvalidRequest(
            "`background` is not possible here: its policy, or this gateway, keeps no responses. Leave it out, and wait for the answer.",
            param="background",
            code="store_not_allowed",
        )
    return Aside(body_again(given, ctx.prompt_version), headers_again(ctx.heads.all))


def _has_the_api(entry: ModelEntry) -> bool:
    return any(state.provider is None and state.config.responses == "native" for state in entry.deployments)


class Background:
    """Begins responses in the background; `wait_s` is how long one may wait for its answer."""

    def __init__(
        self,
        begins: BackgroundBegins,
        follows: Follows,
        responses: ResponsesKept,
        registry: MetricRegistry,
        *,
        wait_s: float,
    ) -> None:
        self._begun_total = registry.counter(
            "sluice_gateway_background_begun_total",
            "Responses that were to be begun in the background, by what became of that (begun, too_many, too_large, away: the database).",
            ("outcome",),
        )
        self._begins = begins
        self._follows = follows
        self._responses = responses
        self._wait_s = wait_s

    async def begin(self, ctx: RequestContext, aside: Aside, keeping: Keeping) -> int:
        """Begin one, tell the client, and return the status of that."""
        try:
            response = await self._begun(ctx, aside, keeping)
        except ApiError as exc:
            await refuse(ctx.send, ctx.endpoint, exc, decision_headers(ctx))
            return exc.status
        if ctx.body.stream:
            await self._tell(ctx, keeping.id)
        else:
            await send_json(ctx.send, _OK, decision_headers(ctx), response.encode())
        return _OK

    async def _begun(self, ctx: RequestContext, aside: Aside, keeping: Keeping) -> str:
        ends = int(ctx.at) + self._responses.keep_s + int(self._wait_s)
        stored = to_store(ctx, keeping, _queued(ctx, keeping), ends)
        if stored.size + len(aside.body) > self._responses.most_bytes:
            self._begun_total.labels("too_large").inc()
            raise InvalidRequest(
                f"The request takes {stored.size + len(aside.body)} bytes in the background, with what is kept of it; {self._responses.most_bytes} "
                "are allowed. Shorten it, or leave `background` out.",
                param="background",
                code="response_too_large",
            )
        await self._keep(stored, aside, ctx.at + self._wait_s)
        return stored.response

    async def _keep(self, stored: StoredResponse, aside: Aside, expires_at: float) -> None:
        try:
            await self._begins.begin(stored, aside, expires_at)
        except TooManyUnfinished as exc:
            self._begun_total.labels("too_many").inc()
            raise LimitReached(
                "As many responses as are allowed wait in the background already. Try again when some have ended, or cancel some.",
                code="too_many_background_responses",
                headers=_RETRY,
            ) from exc
        except DependencyUnavailable as exc:
            self._begun_total.labels("away").inc()
            raise Unavailable("Responses in the background cannot be begun now. Try again in a few seconds.") from exc
        self._begun_total.labels("begun").inc()

    async def _tell(self, ctx: RequestContext, response_id: str) -> None:
        events = self._follows.events(ctx.key.tenant, response_id, -1)
        try:
            head = [*decision_headers(ctx), *SSE]
            await ctx.send({"type": "http.response.start", "status": _OK, "headers": head})
            async for part in events:
                if ctx.gone:
                    return
                if part:
                    await ctx.send({"type": "http.response.body", "body": part, "more_body": True})
            await ctx.send({"type": "http.response.body", "body": b""})
        except OSError:
            return  # the client has gone


def _queued(ctx: RequestContext, keeping: Keeping) -> dict[str, object]:
    found = EventsOut(asked(ctx)).shell("queued")
    talk = {} if keeping.conversation is None else {"conversation": {"id": keeping.conversation}}
    return {
        **found,
        "id": keeping.id,
        "background": True,
        "store": True,
        "previous_response_id": ctx.previous,
        **talk,
    }
