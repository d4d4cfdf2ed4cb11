"""Batches as Anthropic's clients see them."""

from typing import Any

import orjson
import pytest

from sluice.contracts.batches import Batch
from sluice_gateway.domain.message_batches import first_mistake, input_lines, result_of, shown

PARAMS = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]}


def batch(status: str, **fields: Any) -> Batch:
    counts = {"total": 10, "completed": 4, "failed": 6, "unanswered": 5}
    return Batch.model_validate(
        {
            "id": "msgbatch_1",
            "endpoint": "/v1/messages",
            "input_file_id": "file_1",
            "completion_window": "24h",
            "status": status,
            "created_at": 1_767_268_800,
            "expires_at": 1_767_355_200,
            "request_counts": counts,
            "usage": {},
            **fields,
        }
    )


@pytest.mark.parametrize(("status", "kind", "counts"), [
    ("validating", "in_progress", {"processing": 10}), ("finalizing", "in_progress", {"processing": 10}),
    ("cancelling", "canceling", {"processing": 10}), ("cancelled", "ended", {"succeeded": 4, "errored": 1, "canceled": 5}),
    ("expired", "ended", {"succeeded": 4, "errored": 1, "expired": 5}), ("failed", "ended", {"succeeded": 4, "errored": 6}),
])  # fmt: skip
def test_states_and_counts(status: str, kind: str, counts: dict[str, int]) -> None:
    found = shown(batch(status, cancelling_at=1_767_268_801))
    assert found.processing_status == kind
    assert {name: count for name, count in found.request_counts if count} == counts
    assert found.results_url == ("/v1/messages/batches/msgbatch_1/results" if kind == "ended" else None)
    assert (found.created_at, found.cancel_initiated_at) == ("2026-01-01T12:00:00Z", "2026-01-01T12:00:01Z")


def line(**fields: Any) -> bytes:
    return orjson.dumps({"id": "b", "custom_id": "c", "response": None, "error": None, **fields})


@pytest.mark.parametrize(("given", "result"), [
    ({"response": {"status_code": 200, "request_id": "r", "body": {"type": "message"}}}, {"type": "succeeded", "message": {"type": "message"}}),
    ({"response": {"status_code": 404, "request_id": "r", "body": {"type": "error", "error": {"type": "not_found_error", "message": "m"}}}},
     {"type": "errored", "error": {"type": "error", "error": {"type": "not_found_error", "message": "m"}, "request_id": "r"}}),
    ({"response": {"status_code": 502, "request_id": "r", "body": "oops"}},
     {"type": "errored", "error": {"type": "error", "error": {"type": "api_error", "message": "The request was not answered."}}}),
    ({"error": {"code": "batch_expired", "message": "m"}}, {"type": "expired"}),
    ({"error": {"code": "batch_cancelled", "message": "m"}}, {"type": "canceled"}),
    ({"error": {"code": "request_failed", "message": "m"}},
     {"type": "errored", "error": {"type": "error", "error": {"type": "api_error", "message": "m"}}}),
])  # fmt: skip
def test_lines_of_results(given: dict[str, Any], result: dict[str, Any]) -> None:
    assert orjson.loads(result_of(line(**given))) == {"custom_id": "c", "result": result}


@pytest.mark.parametrize(("requests", "mistake"), [
    ([{"custom_id": "a", "params": PARAMS}, {"custom_id": "b", "params": PARAMS}], None),
    ([{"custom_id": "a", "params": PARAMS}, {"custom_id": "a", "params": PARAMS}], "requests.1: The `custom_id` 'a' stands in line 1"),
    ([{"custom_id": "", "params": PARAMS}], "requests.0: `custom_id`"),
    ([{"custom_id": "a", "params": {**PARAMS, "stream": True}}], "requests.0: A batch has no streams; leave `params.stream` out."),
    ([{"custom_id": "a", "params": {"model": "m"}}], "requests.0: `params.messages` is missing."),
    ([{"custom_id": f"c{n}", "params": PARAMS} for n in range(4)], "requests.3: A batch may have 3 requests"),
])  # fmt: skip
def test_the_first_mistake_is_named_before_anything_is_kept(requests: list[Any], mistake: str | None) -> None:
    found = first_mistake(input_lines(requests), 3, 10_000)
    assert found == mistake if mistake is None else found is not None and found.startswith(mistake)
