"""OpenTelemetry traces: spans, W3C context in and out, written as OTLP to a file or a collector."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision, ParentBased, TraceIdRatioBased
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from sluice import __version__
from sluice.errors import SluiceError
from sluice.settings import PlatformSettings
from sluice.telemetry import names
from sluice.telemetry.otlp_json import encoded

AttributeValue = str | bool | int | float | Sequence[str]

_EXPORT_EVERY_MS = 1000
_W3C = TraceContextTextMapPropagator()


class JsonLinesExporter(SpanExporter):
    """Appends each batch as one line of OTLP/JSON to a file (OpenTelemetry's file exporter format).

    When the file passes `max_bytes` it becomes `<name>.1` and a new one begins, so that at most two files are kept.
    """

    def __init__(self, path: Path, max_bytes: int = 64 * 1024 * 1024) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._max_bytes = max_bytes
        self._lock = threading.Lock()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Write one batch."""
        line = encoded(spans) + b"\n"
        with self._lock:
            try:
                if self._path.exists() and self._path.stat().st_size > self._max_bytes:
                    self._path.replace(self._path.with_suffix(".jsonl.1"))
                with self._path.open("ab") as file:
                    file.write(line)
            except OSError:
                return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Nothing is held open."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Every export is already written."""
        del timeout_millis
        return True


class PastSpan(NamedTuple):
    """A span whose time is over, under the ids by which others know it already; times in nanoseconds since 1970, `parent` is a span's id."""

    name: str
    kind: SpanKind
    trace: int
    span: int
    parent: int | None
    began: int
    ended: int
    attributes: Mapping[str, AttributeValue]
    failed: bool = False


class _Ids(RandomIdGenerator):
    """Draws ids, unless this thread was given those of the next span."""

    def __init__(self) -> None:
        self._given = threading.local()

    def give(self, trace_id: int, span_id: int) -> None:
        self._given.ids = trace_id, span_id

    def take_back(self) -> None:
        self._given.ids = None

    def generate_trace_id(self) -> int:
        given = getattr(self._given, "ids", None)
        return super().generate_trace_id() if given is None else given[0]

    def generate_span_id(self) -> int:
        given = getattr(self._given, "ids", None)
        return super().generate_span_id() if given is None else given[1]


class Tracing:
    """Makes spans for one service; without a sink it costs next to nothing and records none."""

    def __init__(self, service: str, platform: PlatformSettings) -> None:
        self._sampler = TraceIdRatioBased(platform.trace_ratio)
        self._ids = _Ids()
        resource = Resource.create(
            {"service.name": service, "service.namespace": "sluice", "service.version": __version__}
        )
        self._provider = TracerProvider(
            sampler=ParentBased(self._sampler), resource=resource, shutdown_on_exit=False, id_generator=self._ids
        )
        self.enabled = False
        if platform.trace_file_dir:
            self._add(JsonLinesExporter(Path(platform.trace_file_dir) / f"{service}.jsonl"))
        if platform.otlp_endpoint:
            self._add(_to_collector(f"{platform.otlp_endpoint.rstrip('/')}/v1/traces"))
        self.tracer = self._provider.get_tracer("sluice", __version__)

    @contextmanager
    def span(
        self,
        name: str,
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Mapping[str, AttributeValue] | None = None,
        parent: otel_context.Context | None = None,
        known: tuple[int, int, int] | None = None,
    ) -> Iterator[Span]:
        """Open a span as the current one; an error that passes through marks it, by class or code, never by text.

        `known` holds the ids of its trace and of itself, where others know them already, and when it began (nanoseconds since 1970).
        """
        if not self.enabled:
            yield trace.INVALID_SPAN
            return
        began = None
        if known is not None:
            began = known[2]
            self._ids.give(known[0], known[1])
        try:
            made = self.tracer.start_span(name, context=parent, kind=kind, attributes=attributes, start_time=began)
        finally:
            self._ids.take_back()
        with trace.use_span(made, end_on_exit=True, record_exception=False, set_status_on_exception=False) as span:
            try:
                yield span
            except BaseException as exc:
                span.set_attribute(names.ERROR_TYPE, exc.code if isinstance(exc, SluiceError) else type(exc).__name__)
                span.set_status(Status(StatusCode.ERROR))
                raise

    def new_ids(self) -> tuple[int, int] | None:
        """Return the ids of a trace that begins and of its first span, None where the trace is not one of those that are kept."""
        trace_id = self._ids.generate_trace_id()
        kept = self._sampler.should_sample(None, trace_id, "").decision is not Decision.DROP
        return (trace_id, self._ids.generate_span_id()) if kept else None

    def new_span_id(self) -> int:
        """Return an id for a span of a trace that goes on."""
        return self._ids.generate_span_id()

    def add(self, span: PastSpan) -> None:
        """Record a span that is over; whoever gave out its ids has found that its trace is kept."""
        parent = otel_context.Context()
        if span.parent is not None:
            known = SpanContext(span.trace, span.parent, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
            parent = trace.set_span_in_context(NonRecordingSpan(known), parent)
        self._ids.give(span.trace, span.span)
        try:
            made = self.tracer.start_span(
                span.name, context=parent, kind=span.kind, attributes=span.attributes, start_time=span.began
            )
        finally:
            self._ids.take_back()
        if span.failed:
            made.set_status(Status(StatusCode.ERROR))
        made.end(span.ended)

    def close(self) -> None:
        """Send what is still buffered and stop."""
        self._provider.shutdown()

    def flush(self) -> None:
        """Send what is still buffered."""
        self._provider.force_flush()

    def _add(self, exporter: SpanExporter) -> None:
        self._provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=_EXPORT_EVERY_MS))
        self.enabled = True


def extract(headers: Mapping[str, str]) -> otel_context.Context:
    """Return the context that a caller's `traceparent` header carries."""
    return _W3C.extract(headers)


def inject(headers: dict[str, str]) -> None:
    """Add `traceparent` of the current span to outgoing headers."""
    _W3C.inject(headers)


@contextmanager
def untraced() -> Iterator[None]:
    """Record no spans inside, here and in the services that are called: for polling, which would fill every trace sink."""
    silent = SpanContext(trace_id=1, span_id=1, is_remote=False, trace_flags=TraceFlags(TraceFlags.DEFAULT))
    with trace.use_span(NonRecordingSpan(silent)):
        yield


def current_trace_id() -> str | None:
    """Return the current trace's id as 32 hex digits, or None outside of a trace."""
    context = trace.get_current_span().get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else None


def _to_collector(endpoint: str) -> SpanExporter:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415 - an HTTP library of its own
        OTLPSpanExporter,
    )

    return OTLPSpanExporter(endpoint=endpoint, timeout=5)
