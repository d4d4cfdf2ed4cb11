"""Usage records as lines of CSV or JSON."""

import csv
import io
from collections.abc import Sequence
from typing import Literal

from sluice.contracts.usage import UsageRecord

ExportFormat = Literal["csv", "jsonl"]
COLUMNS = tuple(name for name in UsageRecord.model_fields if name not in ("v", "id", "object"))
MEDIA_TYPES: dict[ExportFormat, str] = {"csv": "text/csv; charset=utf-8", "jsonl": "application/jsonl"}
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def head(kind: ExportFormat) -> bytes:
    """Return what stands before the first record."""
    return _lines([list(COLUMNS)]) if kind == "csv" else b""


def lines(records: Sequence[UsageRecord], kind: ExportFormat) -> bytes:
    """Return records, one a line."""
    if kind == "jsonl":
        return b"".join(record.model_dump_json(exclude={"v", "id", "object"}).encode() + b"\n" for record in records)
    return _lines([[_cell(name, getattr(record, name)) for name in COLUMNS] for record in records])


def _lines(rows: list[list[object]]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue().encode()


def _cell(name: str, value: object) -> object:
    # A text that a spreadsheet would read as a formula gets an apostrophe (OWASP, "CSV Injection").
    if isinstance(value, tuple):
        value = ("," if name == "tags" else " ").join(map(str, value))  # a tag may have blanks in it, and no comma
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and value.startswith(_FORMULA):
        return "'" + value
    return value
