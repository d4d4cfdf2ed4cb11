"""The transcript of one request: what went to the client is heard on its way, and read when it has ended."""

import random
from collections.abc import Iterable
from typing import Any

import orjson

from sluice.ids import new_id
from sluice_gateway.dataplane.asgi import Message, Send
from sluice_gateway.dataplane.context import RequestContext
from sluice_gateway.dataplane.replay import joined
from sluice_gateway.dataplane.sse import chunk_of, split
from sluice_gateway.domain.transcripts import MOST_BYTES, Transcript, without_data

_DAY_S = 86_400
_LONGEST_USER = 128
_BLOCKS = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}


class Listener:
    """Passes an answer on to the client, and keeps up to 1 MiB of it."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._pieces: list[bytes] = []
        self.size = 0
        self.ended = False
        self.streamed = False

    @property
    def body(self) -> bytes | None:
        """What went to the client, None when it was too much."""
        return b"".join(self._pieces) if self.size <= MOST_BYTES else None

    async def __call__(self, message: Message) -> None:
        """Pass one message on."""
        await self._send(message)
        if message["type"] == "http.response.start":
            kinds = (value for name, value in message.get("headers", ()) if name == b"content-type")
            self.streamed = next(kinds, b"").startswith(b"text/event-stream")
            return
        body = message.get("body", b"")
        self.size += len(body)
        if body and self.size <= MOST_BYTES:
            self._pieces.append(body)
        self.ended = not message.get("more_body", False)


def listen(ctx: RequestContext) -> Listener | None:
    """Hear what the client is answered, if the policy wants a transcript of this request."""
    policy = ctx.plan.transcripts
    if policy is None or (policy.share < 1 and random.random() >= policy.share):  # noqa: S311 - sampling
        return None
    ctx.send = listener = Listener(ctx.send)
    ctx.cycle = None  # what is answered goes through the listener
    return listener


def transcript_of(ctx: RequestContext, heard: Listener) -> Transcript:
    """Return the transcript of a request that has ended."""
    policy, key = ctx.plan.transcripts, ctx.key
    assert policy is not None
    request = ctx.fields if ctx.form is not None else _json(ctx.raw)
    end_user = ctx.fields.get("user")
    return Transcript(
        id=new_id("tr"),
        request_id=ctx.heads.request_id,
        at=ctx.at,
        expires_at=ctx.at + policy.keep_days * _DAY_S,
        tenant=key.tenant,
        organization_id=key.organization_id,
        team_id=key.team_id,
        key_id=key.key_id,
        end_user=end_user[:_LONGEST_USER] if isinstance(end_user, str) else None,
        endpoint=ctx.endpoint.path,
        model=ctx.model.name if ctx.model is not None else ctx.body.model,
        status=ctx.status,
        http_status=ctx.http_status,
        complete=heard.ended and heard.size <= MOST_BYTES and not ctx.gone,
        request=without_data(request),
        answer=without_data(_answer(ctx, heard)),
        size=len(ctx.raw) + heard.size,
        redact=ctx.plan.guard_policy if policy.redact else None,
    )


def _answer(ctx: RequestContext, heard: Listener) -> Any:
    body = heard.body
    if body is None:
        return None
    if not heard.streamed:
        return _json(body)
    chunks = [chunk for one in split(body) if (chunk := chunk_of(one)) is not None]
    style = ctx.endpoint.style
    if style == "messages":
        return _message(chunks)
    if style == "responses":
        return _response(chunks)
    return _texts(chunks) if ctx.endpoint.kind == "completion" else joined(chunks, unfinished=True)


def _json(data: bytes) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return None


def _texts(chunks: Iterable[dict[str, Any]]) -> dict[str, Any] | None:
    # A stream of /v1/completions.
    head: dict[str, Any] = {}
    choices: dict[int, dict[str, Any]] = {}
    for chunk in chunks:
        head = head or {name: value for name, value in chunk.items() if name not in ("choices", "usage")}
        for choice in chunk.get("choices") or ():
            index = choice.get("index", 0)
            known = choices.setdefault(index, {"index": index, "text": "", "finish_reason": None})
            known["text"] += choice.get("text") or ""
            known["finish_reason"] = choice.get("finish_reason") or known["finish_reason"]
    return {**head, "choices": [choices[index] for index in sorted(choices)]} if choices else None


def _message(events: Iterable[dict[str, Any]]) -> dict[str, Any] | None:
    # A stream of /v1/messages.
    message: dict[str, Any] = {}
    blocks: dict[int, dict[str, Any]] = {}
    for event in events:
        kind = event.get("type")
        if kind == "message_start":
            message = dict(event["message"])
        elif kind == "content_block_start":
            blocks[event["index"]] = dict(event["content_block"])
        elif kind == "content_block_delta" and event["index"] in blocks:
            delta, block = event["delta"], blocks[event["index"]]
            name = _BLOCKS.get(delta.get("type"))
            if name is not None:
                place = "input" if name == "partial_json" else name
                known = block.get(place)
                block[place] = (known if isinstance(known, str) else "") + delta[name]
        elif kind == "message_delta":
            message |= event["delta"]
    return {**message, "content": [blocks[index] for index in sorted(blocks)]} if message or blocks else None


def _response(events: Iterable[dict[str, Any]]) -> dict[str, Any] | None:
    # A stream of /v1/responses: its last event tells all, and one that broke off only what was said.
    said: list[str] = []
    begun: dict[str, Any] | None = None
    for event in events:
        kind, whole = event.get("type"), event.get("response")
        if kind in ("response.completed", "response.incomplete", "response.failed") and isinstance(whole, dict):
            return whole
        if isinstance(whole, dict):
            begun = whole
        if kind == "response.output_text.delta" and isinstance(event.get("delta"), str):
            said.append(event["delta"])
    return None if begun is None else {**begun, "output_text": "".join(said)}
