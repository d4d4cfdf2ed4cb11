"""An answer on its way to the client, and what is kept of it."""

import re
from collections.abc import Iterator
from typing import Any

import orjson

from sluice.contracts.guard import Groundedness
from sluice.contracts.routing import CachePolicy
from sluice_gateway.dataplane.asgi import Message, Send
from sluice_gateway.dataplane.confidence import LOW, UNKNOWN, Confidence
from sluice_gateway.dataplane.context import RequestContext
from sluice_gateway.dataplane.replay import as_whole, kept_of
from sluice_gateway.dataplane.stages import cache_items
from sluice_gateway.dataplane.stages.guard_output import DISPUTED_ANSWER, HALLUCINATION
from sluice_gateway.dataplane.table import ModelEntry
from sluice_gateway.domain.cached import Entry

_TOOLS = frozenset({"tools", "functions", "tool_choice"})
_CALLS = (b'"tool_calls"', b'"tool_use"', b'"function_call"')
_UNFINISHED = re.compile(
    rb'"(?:finish_reason|stop_reason|status)":\s*"(?:length|max_tokens|incomplete|content_filter|refusal|failed)"'
)
_COST = re.compile(rb'"sluice":\{"cost_usd":[0-9.e+-]+\}')
_FREE = b'"sluice":{"cost_usd":0.0}'
_MOST_BYTES = 1024 * 1024
_OK = 200
_OF_ANSWERS = frozenset({LOW, UNKNOWN, HALLUCINATION, DISPUTED_ANSWER})


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


def entry_of(ctx: RequestContext, policy: CachePolicy, recorder: Recorder, asked: ModelEntry) -> Entry | None:
    """Return what to keep of an answer that went through the recorder, None when it is not to be kept."""
    # What another model answered than the one asked for is not kept: it would be given for it long after.
    if not recorder.complete or ctx.status != "ok" or ctx.gone or ctx.model is not asked:
        return None
    data = b"".join(recorder.pieces)
    if _UNFINISHED.search(data) or not (ctx.body.stream or len(recorder.pieces) == 1):
        return None
    if ctx.endpoint.kind == "embedding" and not cache_items.is_part(data):
        return None
    calls = not _TOOLS.isdisjoint(ctx.body.native or ctx.fields) and any(mark in data for mark in _CALLS)
    if calls and not policy.tool_calls:
        return None
    if ctx.approvals:  # who asks again is to be asked again
        return None
    usage, kept = ctx.usage, kept_of(ctx, recorder.pieces)
    return Entry(
        tenant=ctx.key.tenant,
        model=asked.name,
        key_id=ctx.key.key_id,
        # an answer that is given again costs nothing
        pieces=tuple(_COST.sub(_FREE, piece) for piece in kept.pieces) if ctx.body.stream else tuple(kept.pieces),
        stored_at=ctx.at,
        ttl_s=min(policy.ttl_s, policy.functions_ttl_s) if ctx.endpoint.kind == "rerank" else policy.ttl_s,
        prompt_tokens=usage.prompt_tokens if usage else 0,
        completion_tokens=usage.completion_tokens if usage else 0,
        cost_usd=ctx.cost or 0.0,
        streamed=ctx.body.stream,
        usage=_COST.sub(_FREE, kept.usage),
        verdicts=_verdicts(ctx),
    )


def said(ctx: RequestContext, entry: Entry) -> str:
    """Return the text of a kept answer, "" when it has none; of streams those of chat completions are read."""
    if entry.streamed and ctx.endpoint.client is not None:
        return ""
    answer = as_whole(entry) if entry.streamed else orjson.loads(entry.pieces[0])
    return "" if answer is None else "".join(_texts(answer))


def _texts(part: Any) -> Iterator[str]:
    # Texts lie under `content` (chat completions), or as `text` in lists of parts (messages, responses).
    if isinstance(part, list):
        for one in part:
            yield from _texts(one)
    elif isinstance(part, dict):
        for name in ("choices", "message", "output", "content", "text"):
            found = part.get(name)
            if isinstance(found, str):
                yield found
            elif found is not None:
                yield from _texts(found)


def _verdicts(ctx: RequestContext) -> bytes:
    said: dict[str, Any] = {}
    if ctx.confidence is not None:
        said["confidence"] = list(ctx.confidence)
    if ctx.groundedness is not None:
        said["groundedness"] = ctx.groundedness.model_dump(mode="json")
    if issues := [issue for issue in ctx.guard_issues if issue in _OF_ANSWERS]:
        said["issues"] = issues
    return orjson.dumps(said) if said else b""


def tell_again(ctx: RequestContext, entry: Entry) -> None:
    """Note what was said of a kept answer when it was made: how sure the model was, what supports it, and the issues of both."""
    if not entry.verdicts:
        return
    said = orjson.loads(entry.verdicts)
    if "confidence" in said:
        ctx.confidence = Confidence(*said["confidence"])
    if "groundedness" in said:
        ctx.groundedness = Groundedness.model_validate(said["groundedness"])
    ctx.flag(tuple(said.get("issues", ())))
