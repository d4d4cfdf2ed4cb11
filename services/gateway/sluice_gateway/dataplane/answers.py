"""What an answer carries besides the model's words: its headers, the `sluice` object, citations."""

import re
from collections.abc import Iterable
from typing import Any

import orjson

from sluice.contracts.guard import Groundedness, ToolVerdict
from sluice.contracts.retrieval import Citation
from sluice_gateway.dataplane.asgi import Headers, header_value
from sluice_gateway.dataplane.context import RequestContext
from sluice_gateway.dataplane.errors import ApiError, Unavailable, UpstreamBroken, stopping
from sluice_gateway.dataplane.sse import chunk_of, split
from sluice_gateway.dataplane.table import Endpoint
from sluice_gateway.translate.shapes import Evidence

SSE: Headers = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]
_HEAD = b"content-type: application/json\r\ncontent-length: %d\r\nx-request-id: %b\r\nx-sluice-cost: %b\r\n%b%b"
_HEAD_UNPRICED = b"content-type: application/json\r\ncontent-length: %d\r\nx-request-id: %b\r\n%b%b"
_SSE_LINES = b"".join(b"%b: %b\r\n" % pair for pair in SSE)
_HEAD_STREAM = b"x-request-id: %b\r\n%b%b" + _SSE_LINES
DRAIN_S = 1.0
_MARK = re.compile(r"\[(\d{1,4})\]")


def id_headers(endpoint: Endpoint, request_id: str) -> Headers:
    """Return the headers with the request's id: ours, and for Anthropic's clients the one that they read."""
    encoded = request_id.encode()
    if endpoint.style == "messages":
        return [(b"x-request-id", encoded), (b"request-id", encoded)]
    return [(b"x-request-id", encoded)]


def decision_headers(ctx: RequestContext) -> Headers:
    """Return the headers that tell what was decided: id, model, deployment, route, guard, limits."""
    headers = id_headers(ctx.endpoint, ctx.heads.request_id)
    if ctx.model is not None:
        headers.append(ctx.model.header)
    if ctx.deployment is not None:
        headers.append(ctx.deployment.header)
    if ctx.route is not None:
        reason = f"{ctx.route.name}; {ctx.route_reason}" if ctx.route_reason else ctx.route.name
        headers.append((b"x-sluice-route", header_value(reason)))
    if ctx.guard is not None:
        headers.append((b"x-sluice-guard", ctx.guard.encode()))
    if ctx.prompt is not None and ctx.endpoint.client is not None:  # /v1/prompts tells it itself
        headers.append((b"x-sluice-prompt", b"%b; version=%d" % (ctx.prompt.encode(), ctx.prompt_version or 0)))
    headers += _trust_headers(ctx)
    if ctx.cache is not None:
        headers.append((b"x-sluice-cache", ctx.cache))
    if ctx.degraded:
        headers.append((b"x-sluice-limits", b"degraded"))
    if ctx.attempts > 1:
        headers.append((b"x-sluice-attempts", b"%d" % ctx.attempts))
    if ctx.rates is not None:
        headers += ctx.rates.headers()
    return headers


def _trust_headers(ctx: RequestContext) -> Headers:
    headers: Headers = []
    if ctx.groundedness is not None:
        headers.append((b"x-sluice-groundedness", b"%.2f" % ctx.groundedness.score))
    if ctx.confidence is not None and ctx.confidence.probability is not None:
        headers.append((b"x-sluice-confidence", b"%.2f" % ctx.confidence.probability))
    return headers


def cost(cost_usd: float) -> bytes:
    """Return the exact cost in dollars as a header's value."""
    return b"%.9f" % cost_usd if cost_usd else b"0"


def sluice_object(ctx: RequestContext) -> dict[str, Any]:
    """Return the `sluice` object of an answer."""
    return {
        "request_id": ctx.heads.request_id,
        "model": ctx.model.name if ctx.model is not None else None,
        "route": ctx.route.name if ctx.route is not None else None,
        "guard_issues": list(ctx.guard_issues),
        **({"queries": list(ctx.searched)} if ctx.searched else {}),
        **({} if ctx.confidence is None else {"confidence": ctx.confidence._asdict()}),
        **({} if ctx.groundedness is None else {"groundedness": _grounded(ctx.groundedness)}),
        **({"approvals": [_waiting(one) for one in ctx.approvals]} if ctx.approvals else {}),
        "citations": [citation.model_dump(mode="json") for citation in ctx.citations],
    }


def _waiting(call: ToolVerdict) -> dict[str, Any]:
    return call.model_dump(mode="json", exclude={"action", "by"})


def _grounded(found: Groundedness) -> dict[str, Any]:
    return found.model_dump(mode="json", exclude={"sentences": {"__all__": {"segment_id"}}})


def wants_sluice_object(ctx: RequestContext) -> bool:
    """Tell whether the answer carries a `sluice` object: when the request had one, or has citations, or its policy tells more."""
    return (
        ctx.body.extension is not None or bool(ctx.citations) or ctx.plan.confidence is not None or bool(ctx.approvals)
    )


def annotations(text: str, citations: tuple[Citation, ...]) -> list[dict[str, Any]]:
    """Return an annotation for each `[n]` in the text that names a citation, in OpenAI's `url_citation` shape."""
    by_index = {citation.index: citation for citation in citations}
    found = []
    for match in _MARK.finditer(text):
        citation = by_index.get(int(match.group(1)))
        if citation is not None:
            place = {
                "start_index": match.start(),
                "end_index": match.end(),
                "title": citation.source,
                "url": f"urn:sluice:chunk:{citation.chunk_id}",
            }
            found.append({"type": "url_citation", "url_citation": place})
    return found


def evidence(ctx: RequestContext) -> Evidence:
    """Return what was looked up for a request, as translators tell it."""
    asked = ctx.body.extension.retrieval if ctx.body.extension is not None else None
    sources = {
        one.index: {
            "file_id": one.file_id or one.document_id,
            "filename": one.source,
            "score": one.score,
            "text": one.quote or "",
            "attributes": one.attributes,
        }
        for one in ctx.citations
    }
    return Evidence(ctx.searched, sources, shown=asked is not None and asked.results)


def with_citations(answer: dict[str, Any], ctx: RequestContext) -> dict[str, Any]:
    """Return a whole answer with the `sluice` object and its messages annotated."""
    choices = []
    for choice in answer.get("choices") or ():
        message = choice.get("message")
        if isinstance(message, dict) and isinstance(message.get("content"), str) and ctx.citations:
            choice = {**choice, "message": {**message, "annotations": annotations(message["content"], ctx.citations)}}
        choices.append(choice)
    out = {**answer, "sluice": sluice_object(ctx)}
    if "choices" in answer:
        out["choices"] = choices
    return out


def lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return headers as the lines of a head."""
    return b"".join(b"%b: %b\r\n" % pair for pair in headers)


def head_of_whole(ctx: RequestContext, cost_usd: float | None, length: int) -> bytes:
    """Return the header lines of a whole answer: what `decision_headers` gives, the cost if it is known, and those of the body."""
    model, deployment = ctx.model, ctx.deployment
    assert model is not None
    assert deployment is not None
    request_id = ctx.heads.request_id.encode()
    if cost_usd is None:
        head = _HEAD_UNPRICED % (length, request_id, model.header_line, deployment.header_line)
    else:
        head = _HEAD % (length, request_id, cost(cost_usd), model.header_line, deployment.header_line)
    if says_little(ctx) and ctx.cache is None:
        return head if ctx.rates is None else head + ctx.rates.lines()
    known = (b"x-request-id", b"x-sluice-model", b"x-sluice-deployment")
    return head + lines(pair for pair in decision_headers(ctx) if pair[0] not in known)


def says_little(ctx: RequestContext) -> bool:
    """Tell whether id, model, deployment, cache and limits are all that there is to tell, as for most requests."""
    return (
        ctx.endpoint.client is None
        and ctx.route is None
        and ctx.guard is None
        and ctx.confidence is None
        and ctx.groundedness is None
        and not ctx.degraded
        and ctx.attempts < 2
    )


def head_of_stream(ctx: RequestContext) -> bytes:
    """Return the header lines of a streamed answer."""
    model, deployment = ctx.model, ctx.deployment
    if model is not None and deployment is not None and ctx.cache is None and says_little(ctx):
        head = _HEAD_STREAM % (ctx.heads.request_id.encode(), model.header_line, deployment.header_line)
        return head if ctx.rates is None else head + ctx.rates.lines()
    return lines(decision_headers(ctx)) + _SSE_LINES


def stream_broken(ctx: RequestContext, reason: str) -> ApiError:
    """Count a stream that broke after its first event, and return what the client is told."""
    if reason == "cancelled":
        return stopping()
    if ctx.model is not None:
        ctx.model.metrics.upstream_error(reason)
    return UpstreamBroken(
        "The model stopped in the middle of its answer. What was received so far is not complete; send the request again.",
        code="stream_timeout" if reason == "timeout" else "stream_interrupted",
    )


def last_event(ctx: RequestContext, skeleton: dict[str, Any]) -> bytes:
    """Return the event with the `sluice` object that goes before the end of a stream, b"" when the request has none."""
    if not wants_sluice_object(ctx):
        return b""
    return event({**skeleton, "choices": [], "sluice": sluice_object(ctx)})


def unaccounted() -> Unavailable:
    """Return the refusal of a request that could not be recorded."""
    return Unavailable("The request could not be accounted for. Try again in a few seconds.")


def event(data: object) -> bytes:
    """Return one server-sent event."""
    return b"data: " + orjson.dumps(data) + b"\n\n"


def skeleton_of(events: bytes) -> dict[str, Any]:
    """Return id, object, creation time and model of the first chunk in a piece of a stream."""
    for one in split(events):
        chunk = chunk_of(one)
        if chunk is not None:
            return {name: chunk[name] for name in ("id", "object", "created", "model") if name in chunk}
    return {}
