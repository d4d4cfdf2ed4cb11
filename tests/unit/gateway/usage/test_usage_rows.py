"""Records read, merged and split by column are what they are one by one."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.contracts.usage import UsageRecorded
from sluice.queues import USAGE
from sluice_gateway.domain.ports import UsageFields
from sluice_gateway.domain.usage_rows import UsageRows
from sluice_gateway.usage.entries import usage_rows

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=8)
COUNT = st.integers(0, 2**40)
NUMBER = st.floats(0, 1e9)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "at": NUMBER,
    "tenant": TEXT,
    "key_id": TEXT,
    "endpoint": TEXT,
    "model": TEXT,
    "status": st.sampled_from(["ok", "error", "blocked", "cancelled"]),
    "http_status": st.integers(100, 599),
    "route": st.none() | TEXT,
    "deployment": st.none() | TEXT,
    "error_code": st.none() | TEXT,
    "stream": st.booleans(),
    "prompt_tokens": COUNT,
    "completion_tokens": COUNT,
    "tokens_exact": st.booleans(),
    "cost_usd": NUMBER | st.integers(0, 9),
    "ttft_ms": st.none() | NUMBER,
    "duration_ms": NUMBER,
    "guard_issues": st.lists(TEXT, max_size=2),
    "citations": COUNT,
    "trace_id": st.none() | TEXT,
    "v": st.just(1),
    "life": TEXT,
    "organization_id": TEXT,
    "team_id": st.none() | TEXT,
    "end_user": st.none() | TEXT,
    "token_details": st.none() | st.lists(COUNT, max_size=7),
}
ODD = st.sampled_from([None, True, 1, 2.5, "1", "ok", [], ["a"], [1], {"a": 1}, 2**70, -1])


def as_row(number: int, fields: dict[str, Any]) -> list[Any]:
    return list(UsageFields(f"evt_{number}", f"req_{number}", **fields))


ROWS = st.lists(st.fixed_dictionaries(FIELDS), min_size=1, max_size=6).map(
    lambda found: [as_row(number, fields) for number, fields in enumerate(found)]
)


def entry(rows: object, names: object = UsageFields._fields) -> dict[bytes, bytes]:
    return {b"columns": orjson.dumps(names), b"rows": orjson.dumps(rows, option=orjson.OPT_PASSTHROUGH_SUBCLASS)}


def one_by_one(written: dict[bytes, bytes]) -> tuple[list[UsageRecorded], list[bytes]]:
    found = USAGE.read(written)
    return found.items, found.unreadable


def by_column(written: dict[bytes, bytes]) -> tuple[list[UsageRecorded], list[bytes]]:
    found = usage_rows(written)
    return [event for rows in found.items for event in rows.events()], found.unreadable


@given(ROWS, st.integers(9, 28))
def test_rows_in_order_are_read_as_a_whole_whatever_version_wrote_them(rows: list[list[Any]], width: int) -> None:
    assert UsageRows.read(UsageFields._fields, rows) is not None
    older = entry([row[:width] for row in rows], UsageFields._fields[:width])
    newer = entry([[*row, "new"] for row in rows], [*UsageFields._fields, "of_a_newer_gateway"])
    for written in (entry(rows), older, newer):
        assert by_column(written) == one_by_one(written)


@given(ROWS, st.integers(0, 5), st.integers(0, 27), ODD)
def test_an_odd_value_spoils_no_other_row(rows: list[list[Any]], place: int, field: int, odd: Any) -> None:
    rows[place % len(rows)][field] = odd if odd != 2**70 else 2**63
    written = entry(rows)
    assert by_column(written) == one_by_one(written)


@pytest.mark.parametrize(
    "rows", [[], ["no row"], [["evt_1", "too", "short"]], [as_row(1, {"at": 1.0} | dict.fromkeys(FIELDS)), []], [7]]
)
def test_rows_that_are_none_are_left_out(rows: list[Any]) -> None:
    written = entry(rows)
    assert by_column(written) == one_by_one(written)
    assert by_column(written)[1] or not rows


def test_an_entry_with_one_payload_is_read() -> None:
    event = UsageRecorded.model_validate(dict(zip(UsageFields._fields, as_row(1, good()), strict=True)))
    assert by_column({b"d": event.model_dump_json().encode()}) == ([event], [])
    with pytest.raises(KeyError):
        usage_rows({b"other": b"field"})


def test_parts_come_together_with_each_event_once_in_the_order_of_ids() -> None:
    parts = [rows_of(3, 1), rows_of(2, 3), rows_of()]
    together = UsageRows.together(parts)
    assert [event.event_id for event in together.events()] == ["evt_1", "evt_2", "evt_3"]
    assert [event.request_id for event in together.without({"evt_2"}).events()] == ["req_1", "req_3"]
    assert len(UsageRows.together([])) == 0


def rows_of(*numbers: int) -> UsageRows:
    rows = [as_row(number, good()) for number in numbers]
    return UsageRows.read(UsageFields._fields, rows) or UsageRows.of([])


def good() -> dict[str, Any]:
    head = {"at": 1.0, "tenant": "acme", "key_id": "key_1", "endpoint": "/v1/chat/completions", "model": "m"}
    return {**head, "status": "ok", "http_status": 200}
