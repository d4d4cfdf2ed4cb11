"""Kept answers in the form that a request asks for: whole or as a stream, with token counts, with a `sluice` object of its own.

What is kept of OpenAI's API is the answer alone. The event that tells a stream's token counts stands beside it, and the
`sluice` object is left out, since it tells of one request. A streamed client that asks for counts reads there what its
answer cost, as `usage.sluice`: nothing, since it is given again.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import orjson

from sluice_gateway.dataplane.answers import event, last_event, skeleton_of, wants_sluice_object, with_citations
from sluice_gateway.dataplane.context import RequestContext
from sluice_gateway.dataplane.sse import DONE, Usage, chunk_of, split, usage_of
from sluice_gateway.domain.cached import Entry

_WORD = re.compile(r"\s*\S+\s*")
_GROWS = frozenset({"content", "refusal", "reasoning_content", "reasoning"})
_FREE = {"sluice": {"cost_usd": 0.0}}
_OF_ONE_CHUNK = frozenset({"choices", "usage", "object", "obfuscation", "sluice"})


class Kept(NamedTuple):
    """An answer as it is kept: its pieces, and the event with its token counts, b"" when there is none to add."""

    pieces: tuple[bytes, ...]
    usage: bytes = b""


def serves_both(ctx: RequestContext) -> bool:
    """Tell whether a kept stream answers a whole request here, and a whole answer a streamed one."""
    return ctx.endpoint.client is None and ctx.endpoint.kind == "chat"


def kept_of(ctx: RequestContext, pieces: Sequence[bytes]) -> Kept:
    """Return what to keep of an answer that the client got in these pieces."""
    if ctx.endpoint.client is not None:
        return Kept(tuple(pieces))
    if not ctx.body.stream:
        return Kept((_without_object(pieces[0]) if wants_sluice_object(ctx) else pieces[0],))
    return _kept_stream(ctx, pieces)


def shown(ctx: RequestContext, entry: Entry) -> tuple[bytes, ...] | None:
    """Return the bytes that answer the request with a kept answer, None when it cannot be had in the form that is asked for."""
    body = ctx.body
    wants_object = wants_sluice_object(ctx)
    if entry.streamed == body.stream and not wants_object and not (entry.usage and body.wants_usage):
        return entry.pieces
    if ctx.endpoint.client is not None:
        return entry.pieces
    if body.stream:
        return _streamed(ctx, entry)
    answer = as_whole(entry) if entry.streamed else orjson.loads(entry.pieces[0])
    if answer is None:
        return None
    return (orjson.dumps(with_citations(answer, ctx) if wants_object else answer),)


def _streamed(ctx: RequestContext, entry: Entry) -> tuple[bytes, ...] | None:
    kept = Kept(entry.pieces, entry.usage) if entry.streamed else as_stream(orjson.loads(entry.pieces[0]))
    if kept is None:
        return None
    *before, last = kept.pieces
    tail = kept.usage if ctx.body.wants_usage else b""
    if wants_sluice_object(ctx):
        tail += last_event(ctx, skeleton_of(kept.pieces[0]))
    return (*before, last.removesuffix(DONE) + tail + DONE)


def _without_object(body: bytes) -> bytes:
    answer = orjson.loads(body)
    answer.pop("sluice", None)
    return orjson.dumps(answer)


def _kept_stream(ctx: RequestContext, pieces: Sequence[bytes]) -> Kept:
    usage, left = b"", []
    counted = False
    for piece in pieces:
        if b'"usage"' not in piece and b'"sluice"' not in piece:
            left.append(piece)
            continue
        events = []
        for one in split(piece):
            chunk = chunk_of(one)
            if chunk is None or chunk.get("choices"):
                counted = counted or (chunk is not None and usage_of(chunk) is not None)
                events.append(one)
            elif "sluice" not in chunk and usage_of(chunk) is not None:
                usage = one
        if events:
            left.append(b"".join(events))
    if not usage and not counted and ctx.usage is not None and ctx.usage.final:
        usage = event({**skeleton_of(left[0]), "choices": [], "usage": {**_usage_object(ctx.usage), **_FREE}})
    return Kept(tuple(left), usage)


def _usage_object(usage: Usage) -> dict[str, Any]:
    prompt, completion = usage.prompt_tokens, usage.completion_tokens
    found: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }
    details = usage.details
    if details is not None:
        found["prompt_tokens_details"] = {"cached_tokens": details.cached, "audio_tokens": details.audio_input}
        found["completion_tokens_details"] = {
            "reasoning_tokens": details.reasoning,
            "audio_tokens": details.audio_output,
        }
    return found


def as_stream(answer: dict[str, Any]) -> Kept | None:
    """Return a whole chat answer as a stream: who speaks, the words one by one, why it ended, and beside it the counts."""
    choices, usage = answer.get("choices"), answer.get("usage")
    if not isinstance(choices, list) or not choices:
        return None
    head = {name: value for name, value in answer.items() if name not in _OF_ONE_CHUNK}
    head["object"] = "chat.completion.chunk"
    events = []
    for choice in choices:
        message = choice.get("message")
        if not isinstance(message, dict):
            return None
        index, logprobs = choice.get("index", 0), choice.get("logprobs")
        for delta in _deltas(message, at_once=logprobs is not None):
            said = {"index": index, "delta": delta, "finish_reason": None}
            if logprobs is not None and delta.get("content"):
                said["logprobs"] = logprobs
            events.append(event({**head, "choices": [said]}))
        end = {"index": index, "delta": {}, "finish_reason": choice.get("finish_reason")}
        events.append(event({**head, "choices": [end]}))
    counts = event({**head, "choices": [], "usage": {**usage, **_FREE}}) if isinstance(usage, dict) else b""
    return Kept((b"".join(events) + DONE,), counts)


def _deltas(message: dict[str, Any], *, at_once: bool) -> list[dict[str, Any]]:
    content, calls = message.get("content"), message.get("tool_calls")
    first: dict[str, Any] = {"role": message.get("role", "assistant"), "content": "" if content else content}
    rest = {name: value for name, value in message.items() if name not in ("role", "content", "tool_calls") and value}
    deltas = [first]
    deltas += [{name: value} for name, value in rest.items()]
    if isinstance(content, str) and content:
        words = [content] if at_once or not content.strip() else _WORD.findall(content)
        deltas += [{"content": word} for word in words]
    deltas += [{"tool_calls": [{"index": place, **call}]} for place, call in enumerate(calls or ())]
    return deltas


class _Choice:
    """One choice of a stream as it grows into a message."""

    def __init__(self) -> None:
        self.message: dict[str, Any] = {"role": "assistant", "content": None}
        self.calls: dict[int, dict[str, Any]] = {}
        self.logprobs: dict[str, Any] | None = None
        self.finish_reason: object = None

    def add(self, choice: dict[str, Any]) -> bool:
        """Take one chunk's part; False when it holds something that nobody knows how to join."""
        self.finish_reason = choice.get("finish_reason") or self.finish_reason
        logprobs = choice.get("logprobs")
        if isinstance(logprobs, dict):
            self._add_logprobs(logprobs)
        return all(self._add(name, value) for name, value in (choice.get("delta") or {}).items())

    def _add(self, name: str, value: Any) -> bool:
        if name == "tool_calls" and isinstance(value, list):
            return all(self._add_call(part) for part in value)
        if value is None or name == "role":
            if value is not None or name not in self.message:
                self.message[name] = value
            return True
        if name in _GROWS and isinstance(value, str):
            self.message[name] = (self.message.get(name) or "") + value
            return True
        return False

    def _add_call(self, part: dict[str, Any]) -> bool:
        index, function = part.get("index"), part.get("function")
        if type(index) is not int or not isinstance(function, dict):
            return False
        call = self.calls.setdefault(index, {"function": {"name": "", "arguments": ""}})
        call |= {name: value for name, value in part.items() if name not in ("index", "function") and value is not None}
        known = call["function"]
        known["name"] = function.get("name") or known["name"]
        known["arguments"] += function.get("arguments") or ""
        return True

    def _add_logprobs(self, logprobs: dict[str, Any]) -> None:
        self.logprobs = self.logprobs or {}
        for name, tokens in logprobs.items():
            known = self.logprobs.get(name)
            self.logprobs[name] = [*known, *tokens] if known and tokens else tokens or known

    def choice(self, index: int) -> dict[str, Any]:
        """Return the whole choice."""
        message = self.message
        if self.calls:
            message = {**message, "tool_calls": [self.calls[place] for place in sorted(self.calls)]}
        return {
            "index": index,
            "message": message,
            "logprobs": self.logprobs,
            "finish_reason": self.finish_reason,
        }


def as_whole(entry: Entry) -> dict[str, Any] | None:
    """Return a kept chat stream as a whole answer, None when it holds what cannot be joined."""
    chunks = [chunk for one in split(b"".join(entry.pieces)) if (chunk := chunk_of(one)) is not None]
    answer, counts = joined(chunks), chunk_of(entry.usage)
    if answer is None or counts is None:
        return answer
    return {**answer, "usage": {name: value for name, value in counts["usage"].items() if name not in _FREE}}


def joined(chunks: Iterable[dict[str, Any]], *, unfinished: bool = False) -> dict[str, Any] | None:
    """Return the chunks of a chat stream as a whole answer, None when they hold what cannot be joined or (`unfinished` allows it) break off."""
    head: dict[str, Any] = {}
    choices: dict[int, _Choice] = {}
    for chunk in chunks:
        head = head or {name: value for name, value in chunk.items() if name not in _OF_ONE_CHUNK}
        for choice in chunk.get("choices") or ():
            if not choices.setdefault(choice.get("index", 0), _Choice()).add(choice):
                return None
    if not choices or (not unfinished and any(choice.finish_reason is None for choice in choices.values())):
        return None
    return {
        **head,
        "object": "chat.completion",
        "choices": [choices[place].choice(place) for place in sorted(choices)],
    }
