"""Reads the traces that the platform's parts write as OTLP JSON lines."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class SpanRow:
    """One span; times are nanoseconds of unix time."""

    service: str
    name: str
    span_id: str
    parent_id: str
    start: int
    end: int
    attributes: dict[str, object]
    failed: bool


def load(folder: Path, trace_id: str) -> list[SpanRow]:
    """Return all spans of one trace that any part wrote, in order of their start."""
    found = [span for path in folder.glob("*.jsonl*") for span in _read(path, trace_id)]
    return sorted(found, key=lambda span: span.start)


def tree(spans: Sequence[SpanRow]) -> list[str]:
    """Return one indented line per span: service, name and duration."""
    known = {span.span_id for span in spans}
    children: dict[str, list[SpanRow]] = {}
    for span in spans:
        children.setdefault(span.parent_id if span.parent_id in known else "", []).append(span)

    def lines(parent: str, depth: int) -> Iterator[str]:
        for span in children.get(parent, ()):
            milliseconds = (span.end - span.start) / 1e6
            mark = " failed" if span.failed else ""
            yield f"{'  ' * depth}{span.service}: {span.name} {milliseconds:.1f} ms{mark}"
            yield from lines(span.span_id, depth + 1)

    return list(lines("", 0))


def _read(path: Path, trace_id: str) -> Iterator[SpanRow]:
    wanted = trace_id.encode()
    with path.open("rb") as file:
        for line in file:
            if wanted in line:
                yield from _spans(orjson.loads(line), trace_id)


def _spans(batch: dict[str, Any], trace_id: str) -> Iterator[SpanRow]:
    for resource in batch.get("resourceSpans", ()):
        service = str(_attributes(resource.get("resource", {})).get("service.name", "?"))
        for scope in resource.get("scopeSpans", ()):
            for span in scope.get("spans", ()):
                if span.get("traceId") == trace_id:
                    yield SpanRow(
                        service=service,
                        name=span["name"],
                        span_id=span["spanId"],
                        parent_id=span.get("parentSpanId", ""),
                        start=int(span["startTimeUnixNano"]),
                        end=int(span["endTimeUnixNano"]),
                        attributes=_attributes(span),
                        failed=span.get("status", {}).get("code")
                        in (2, "STATUS_CODE_ERROR"),  # the second in lines of before December 2026
                    )


def _attributes(holder: dict[str, Any]) -> dict[str, object]:
    return {item["key"]: next(iter(item["value"].values()), None) for item in holder.get("attributes", ())}
