"""Spans as OTLP/JSON (OpenTelemetry Protocol specification, "JSON Protobuf Encoding"): ids in hex, enums as numbers, integers of 64 bits as texts.

OpenTelemetry's own way there leads over protobuf messages and their JSON, which writes ids and enums otherwise and takes several times as long, in which no request
is served.
"""

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import Link, SpanContext, SpanKind

_KINDS = {
    SpanKind.INTERNAL: 1,
    SpanKind.SERVER: 2,
    SpanKind.CLIENT: 3,
    SpanKind.PRODUCER: 4,
    SpanKind.CONSUMER: 5,
}
_KNOWN_IF_REMOTE, _REMOTE = 0x100, 0x200  # of a span's flags
_NAMES_OF_FLOATS = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}

Json = dict[str, Any]


def encoded(spans: Iterable[ReadableSpan]) -> bytes:
    """Return a batch of spans that have ended as one message, without line ends."""
    sorts: dict[int, dict[int, list[ReadableSpan]]] = {}
    for span in spans:
        sorts.setdefault(id(span.resource), {}).setdefault(id(span.instrumentation_scope), []).append(span)
    return orjson.dumps({"resourceSpans": [_of_resource([*scopes.values()]) for scopes in sorts.values()]})


def _of_resource(scopes: Sequence[Sequence[ReadableSpan]]) -> Json:
    resource = scopes[0][0].resource
    found: Json = {"resource": _with_attributes({}, resource.attributes), "scopeSpans": list(map(_of_scope, scopes))}
    return found | ({"schemaUrl": resource.schema_url} if resource.schema_url else {})


def _of_scope(spans: Sequence[ReadableSpan]) -> Json:
    scope = spans[0].instrumentation_scope
    if scope is None:
        return {"scope": {}, "spans": list(map(_of_span, spans))}
    said: Json = {"name": scope.name} | ({"version": scope.version} if scope.version else {})
    found: Json = {"scope": _with_attributes(said, scope.attributes), "spans": list(map(_of_span, spans))}
    return found | ({"schemaUrl": scope.schema_url} if scope.schema_url else {})


def _of_span(span: ReadableSpan) -> Json:
    context, parent = span.get_span_context(), span.parent
    found: Json = _ids(context)
    if context is not None and context.trace_state:
        found["traceState"] = ",".join(f"{name}={value}" for name, value in context.trace_state.items())
    if parent is not None:
        found["parentSpanId"] = f"{parent.span_id:016x}"
    found["name"] = span.name
    found["kind"] = _KINDS[span.kind]
    found["startTimeUnixNano"] = str(span.start_time)
    found["endTimeUnixNano"] = str(span.end_time)
    _with_attributes(found, span.attributes, span.dropped_attributes)
    if span.events:
        found["events"] = list(map(_of_event, span.events))
    if span.dropped_events:
        found["droppedEventsCount"] = span.dropped_events
    if span.links:
        found["links"] = list(map(_of_link, span.links))
    if span.dropped_links:
        found["droppedLinksCount"] = span.dropped_links
    status = found["status"] = {}
    if span.status.description:
        status["message"] = span.status.description
    if span.status.status_code.value:
        status["code"] = span.status.status_code.value
    found["flags"] = _flags(parent)
    return found


def _of_event(event: Event) -> Json:
    return _with_attributes(
        {"timeUnixNano": str(event.timestamp), "name": event.name}, event.attributes, event.dropped_attributes
    )


def _of_link(link: Link) -> Json:
    return _with_attributes(
        _ids(link.context) | {"flags": _flags(link.context)}, link.attributes, link.dropped_attributes
    )


def _ids(context: SpanContext | None) -> Json:
    return {} if context is None else {"traceId": f"{context.trace_id:032x}", "spanId": f"{context.span_id:016x}"}


def _flags(context: SpanContext | None) -> int:
    return _KNOWN_IF_REMOTE | (_REMOTE if context is not None and context.is_remote else 0)


def _with_attributes(found: Json, attributes: Mapping[str, Any] | None, dropped: int = 0) -> Json:
    if attributes:
        found["attributes"] = [{"key": key, "value": _value(value)} for key, value in attributes.items()]
    if dropped:
        found["droppedAttributesCount"] = dropped
    return found


def _value(value: Any) -> Json:
    if isinstance(value, str):
        return {"stringValue": value}
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value if math.isfinite(value) else _NAMES_OF_FLOATS[str(value)]}
    if isinstance(value, bytes):
        return {"bytesValue": base64.b64encode(value).decode()}
    if isinstance(value, Mapping):
        pairs = [{"key": str(key), "value": _value(one)} for key, one in value.items()]
        return {"kvlistValue": {"values": pairs} if pairs else {}}
    if isinstance(value, Sequence):
        return {"arrayValue": {"values": list(map(_value, value))} if value else {}}
    return {}
