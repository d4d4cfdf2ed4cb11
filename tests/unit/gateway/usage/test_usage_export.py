"""Usage records as lines of CSV or JSON."""

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.contracts.usage import UsageRecord
from sluice_gateway.domain.usage_export import COLUMNS, head, lines


def record(**fields: Any) -> UsageRecord:
    values: dict[str, Any] = {
        "id": "evt_1",
        "event_id": "evt_1",
        "request_id": "req_1",
        "at": 5.5,
        "tenant": "acme",
        "key_id": "key_1",
        "endpoint": "/v1/chat/completions",
        "model": "m",
        "status": "ok",
        "http_status": 200,
        "total_tokens": 3,
    }
    return UsageRecord.model_validate(values | fields)


def read(*records: UsageRecord) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((head("csv") + lines(records, "csv")).decode(), newline="")))


def test_a_record_in_csv() -> None:
    (row,) = read(record(guard_issues=("pii:email", "toxic"), stream=True, cost_usd=0.25, cached_tokens=2))
    assert tuple(row) == COLUMNS
    assert (row["request_id"], row["at"], row["cost_usd"], row["cached_tokens"]) == ("req_1", "5.5", "0.25", "2")
    assert (row["guard_issues"], row["stream"], row["team_id"]) == ("pii:email toxic", "true", "")


def test_tags_with_blanks_are_told_apart() -> None:
    (row,) = read(record(tags=("new york", "trial")))
    assert row["tags"] == "new york,trial"


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"])
def test_a_text_that_a_spreadsheet_would_run_is_defused(sign: str) -> None:
    (row,) = read(record(model=f"{sign}HYPERLINK(0)", end_user=f"a{sign}b"))
    assert (row["model"], row["end_user"]) == (f"'{sign}HYPERLINK(0)", f"a{sign}b")


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20))
def test_any_text_stays_in_its_cell(text: str) -> None:
    (row,) = read(record(model=text))
    assert row["model"] in (text, "'" + text)
    assert row["status"] == "ok"
    line = lines([record(model=text)], "jsonl")
    assert line.count(b"\n") == 1
    assert json.loads(line)["model"] == text


def test_no_records() -> None:
    assert read() == []
    assert head("jsonl") + lines([], "jsonl") == b""
