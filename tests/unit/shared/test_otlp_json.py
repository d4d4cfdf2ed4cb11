"""Spans as OTLP/JSON are what OpenTelemetry's own encoder says of them, but for ids and enums, which are as the specification has them."""

import base64
from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from google.protobuf.json_format import MessageToDict
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from sluice.telemetry.otlp_json import encoded


class Kept(SpanExporter):
    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.spans += spans
        return SpanExportResult.SUCCESS


def as_specified(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: as_specified(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [as_specified(item) for item in value]
    return base64.b64decode(value).hex() if key in ("traceId", "spanId", "parentSpanId") else value


def by_opentelemetry(spans: Sequence[ReadableSpan]) -> Any:
    return as_specified(MessageToDict(encode_spans(spans), use_integers_for_enums=True))


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def provider(kept: Kept) -> TracerProvider:
    resource = Resource.create({"service.name": "gateway"}, schema_url="https://opentelemetry.io/schemas/1.30.0")
    made = TracerProvider(resource=resource, span_limits=SpanLimits(max_span_attributes=9, max_events=2, max_links=2))
    made.add_span_processor(SimpleSpanProcessor(kept))
    return made


def test_all_that_a_span_may_hold(provider: TracerProvider, kept: Kept) -> None:
    remote = SpanContext(
        7, 9, is_remote=True, trace_state=TraceState([("a", "1"), ("b", "2")]), trace_flags=TraceFlags(1)
    )
    tracer, other = (
        provider.get_tracer("sluice", "1.0"),
        provider.get_tracer("other", schema_url="https://example.com/1"),
    )
    with tracer.start_as_current_span(
        "outer",
        kind=SpanKind.SERVER,
        links=[Link(remote, {"why": "retry"}), Link(remote), Link(remote, {"dropped": False})],
        attributes={
            "text": 'ü "\n',
            "true": True,
            "count": 2**62,
            "share": 1.5,
            "texts": ["p", "q"],
            "none": (),
            "counts": [1, 2],
            "endless": float("inf"),
            "nothing": float("nan"),
            "more": "than a span may have",
        },
    ):
        for kind in (SpanKind.CLIENT, SpanKind.PRODUCER, SpanKind.CONSUMER, SpanKind.INTERNAL):
            with other.start_as_current_span("inner", kind=kind) as span:
                span.set_status(Status(StatusCode.OK))
                for number in range(3):
                    span.add_event("event", {"number": number}, timestamp=123)
        with tracer.start_as_current_span("bare"):
            pass
    with tracer.start_as_current_span("failed") as span:
        span.set_status(Status(StatusCode.ERROR, "for a reason"))
    found = orjson.loads(encoded(kept.spans))
    wanted = by_opentelemetry(kept.spans)
    assert [scope["scope"]["name"] for scope in found["resourceSpans"][0]["scopeSpans"]] == ["other", "sluice"]
    assert found == wanted


def test_a_remote_parent_is_told_from_one_of_the_process(provider: TracerProvider, kept: Kept) -> None:
    remote = SpanContext(7, 9, is_remote=True, trace_flags=TraceFlags(1))
    with (
        trace.use_span(trace.NonRecordingSpan(remote)),
        provider.get_tracer("sluice").start_as_current_span("outer"),
        provider.get_tracer("sluice").start_as_current_span("inner"),
    ):
        pass
    inner, outer = orjson.loads(encoded(kept.spans))["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert (inner["flags"], outer["flags"], outer["parentSpanId"]) == (0x100, 0x300, "0000000000000009")
    assert orjson.loads(encoded(kept.spans)) == by_opentelemetry(kept.spans)
