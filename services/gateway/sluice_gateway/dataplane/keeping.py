"""Keeping a response of /v1/responses: it is kept before the last bytes of its answer go out, and the answer says that it is."""

from collections.abc import Sequence
from typing import Any

import orjson

from sluice.ids import new_id
from sluice_gateway.dataplane.asgi import Message, Send
from sluice_gateway.dataplane.context import Keeping as Kept
from sluice_gateway.dataplane.context import RequestContext
from sluice_gateway.dataplane.errors import InvalidRequest, wrong_value
from sluice_gateway.dataplane.sse import chunk_of, split
from sluice_gateway.domain.responses import ID, Item, ResponsesKept, StoredResponse, items_of
from sluice_gateway.translate.events import write_named

_OK = 200
_DAY_S = 86_400
_ENDED = frozenset({"completed", "incomplete"})
_BEGUN = frozenset({"in_progress", "queued"})
_LENGTH = b"content-length"


class Keeping:
    """That a request's response is to be kept: under which id, with which input, after which others.

    With `stored` False it is added to its conversation and not kept by itself.
    """

    __slots__ = ("conversation", "id", "own", "stored", "turns")

    def __init__(self, response_id: str, *, stored: bool = True) -> None:
        self.id = response_id
        self.stored = stored
        self.own: list[Item] | None = None
        self.turns: Sequence[StoredResponse] = ()
        self.conversation: str | None = None


def keeping_of(ctx: RequestContext, responses: ResponsesKept | None) -> Keeping | None:
    """Return how the response is kept, None when it is not.

    Raises:
        InvalidRequest: the request demands it, and it is not done here.
    """
    wanted = (ctx.body.native or {}).get("store")
    if wanted is not None and type(wanted) is not bool:
        raise wrong_value("store", "must be true or false.")
    allowed = responses is not None and ctx.plan.keeps_responses
    if wanted is True and not allowed:
        raise _not_allowed(responses, "store")
    return None if wanted is False or not allowed else Keeping(new_id(ID))


def added_to(ctx: RequestContext, responses: ResponsesKept | None, conversation: str) -> Keeping:
    """Return how a response is added to a conversation, and kept by itself unless the request says otherwise.

    Raises:
        InvalidRequest: its policy has nothing kept.
    """
    if ctx.keeping is None and not ctx.plan.keeps_responses:
        raise _not_allowed(responses, "conversation")
    keeping = Keeping(new_id(ID), stored=ctx.keeping is not None)
    keeping.conversation = conversation
    return keeping


def _not_allowed(responses: ResponsesKept | None, param: str) -> InvalidRequest:
    who = "This gateway" if responses is None else "The policy of this request"
    return InvalidRequest(
        f"{who} keeps no responses. Leave `{param}` out, and send the whole conversation as `input`.",
        param=param,
        code="store_not_allowed",
    )


def to_store(ctx: RequestContext, keeping: Kept, response: dict[str, Any], expires_at: int) -> StoredResponse:
    """Return a request's response as it is stored until `expires_at`, in unix seconds."""
    own = keeping.own if keeping.own is not None else items_of((ctx.body.native or {}).get("input"))
    return StoredResponse(
        id=keeping.id,
        tenant=ctx.key.tenant,
        organization_id=ctx.key.organization_id,
        key_id=ctx.key.key_id,
        previous_id=ctx.previous,
        model=ctx.body.model,
        created_at=int(ctx.at),
        expires_at=expires_at,
        input=orjson.dumps(own).decode(),
        response=orjson.dumps(response).decode(),
    )


class Keeper:
    """Passes an answer on to the client; what the response in it says of its id and of being kept is made true."""

    def __init__(self, ctx: RequestContext, responses: ResponsesKept | None, send: Send) -> None:
        self._ctx = ctx
        self._responses = responses
        self._send = send
        self._streamed = False
        self._head: Message | None = None
        self._passes = False

    async def __call__(self, message: Message) -> None:
        """Pass one message on."""
        if message["type"] == "http.response.start":
            kinds = (value for name, value in message.get("headers", ()) if name == b"content-type")
            self._streamed = next(kinds, b"").startswith(b"text/event-stream")
            self._passes = message["status"] != _OK
            if self._passes or self._streamed:
                await self._send(message)
            else:
                self._head = message  # the length of what follows may change
            return
        body = message.get("body", b"")
        if self._passes or not body:
            await self._send(message)
        elif self._streamed:
            await self._send({**message, "body": await self._events(body)})
        else:
            await self._whole(message, body)

    async def _whole(self, message: Message, body: bytes) -> None:
        found = orjson.loads(body)
        if isinstance(found, dict):
            await self._end(found)
            body = orjson.dumps(found)
        if self._head is not None:
            headers = [pair for pair in self._head["headers"] if pair[0] != _LENGTH]
            await self._send({**self._head, "headers": [*headers, (_LENGTH, b"%d" % len(body))]})
        await self._send({**message, "body": body})

    async def _events(self, body: bytes) -> bytes:
        if b'"response"' not in body:
            return body
        out = []
        for event in split(body):
            found = chunk_of(event) if b'"response"' in event else None
            response = None if found is None else found.get("response")
            if found is None or not isinstance(response, dict):
                out.append(event)
                continue
            await self._end(response)
            out.append(write_named(str(found.get("type")), found))
        return b"".join(out)

    async def _end(self, response: dict[str, Any]) -> None:
        # A response as it begins, or as it ended: then it is kept.
        ctx, keeping = self._ctx, self._ctx.keeping
        if ctx.previous is not None:
            response["previous_response_id"] = ctx.previous
        if keeping is None or self._responses is None:
            response["store"] = False
            return
        response["id"] = keeping.id
        if keeping.conversation is not None:
            response["conversation"] = {"id": keeping.conversation}
        status = response.get("status")
        response["store"] = keeping.stored and (status in _ENDED or status in _BEGUN)
        if status in _ENDED and not await self._kept(keeping, self._responses, response):
            response["store"] = False

    async def _kept(self, keeping: Kept, responses: ResponsesKept, response: dict[str, Any]) -> bool:
        ctx = self._ctx
        ends = int(ctx.at) + responses.keep_s
        stored = to_store(ctx, keeping, response, ends)._replace(
            # a day's grace, so that not every turn writes all that came before it
            prolonged=tuple(turn.id for turn in keeping.turns if turn.expires_at < ends - _DAY_S),
            conversation=keeping.conversation,
            stored=keeping.stored,
        )
        if stored.size > responses.most_bytes:
            responses.left_out()
            return False
        return await responses.keep(stored)


def keep(ctx: RequestContext, responses: ResponsesKept | None) -> None:
    """See to it that the response is kept, and says which one it follows; nothing happens to answers that do neither."""
    if ctx.endpoint.counts or (ctx.keeping is None and ctx.previous is None):
        return
    ctx.send = Keeper(ctx, responses, ctx.send)
    ctx.cycle = None  # what is answered goes through the keeper
