"""Batches of messages: Anthropic's shapes over the batches that there are."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import orjson

from sluice.contracts.batches import Batch
from sluice.contracts.message_batches import MessageBatch, MessageBatchCounts
from sluice_gateway.domain.batch_lines import InputCheck, RawLine
from sluice_gateway.domain.batches import ENDED

MESSAGES = "/v1/messages"
PATH = "/v1/messages/batches"
_UNASKED: Mapping[str, Literal["expired", "canceled"]] = {"batch_expired": "expired", "batch_cancelled": "canceled"}


def input_lines(requests: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    """Yield the lines of the file that a batch of these requests reads."""
    for request in requests:
        line = {"custom_id": request.get("custom_id"), "method": "POST", "url": MESSAGES, "body": request.get("params")}
        yield orjson.dumps(line) + b"\n"


def first_mistake(lines: Iterable[bytes], max_lines: int, max_line_bytes: int) -> str | None:
    """Return what is wrong with the first request that cannot be asked, None when all can."""
    check = InputCheck(MESSAGES, max_lines, max_line_bytes)
    for number, line in enumerate(lines):
        taken = check.take(RawLine(number + 1, line if len(line) <= max_line_bytes else None))
        if check.errors or not taken:
            sentence = check.errors[0].message.partition(": ")[2].replace("`body", "`params")
            return f"requests.{number}: {sentence}"
    return None


def shown(batch: Batch) -> MessageBatch:
    """Return a batch as Anthropic's clients read it."""
    counts, ended = batch.request_counts, batch.status in ENDED
    answered = counts.failed - counts.unanswered
    if ended:
        found = {
            "succeeded": counts.completed,
            "errored": answered + (counts.unanswered if batch.status in ("failed", "completed") else 0),
            "canceled": counts.unanswered if batch.status == "cancelled" else 0,
            "expired": counts.unanswered if batch.status == "expired" else 0,
        }
    else:
        found = {"processing": counts.total}
    ended_at = batch.completed_at or batch.failed_at or batch.expired_at or batch.cancelled_at
    return MessageBatch(
        id=batch.id,
        processing_status="ended" if ended else "canceling" if batch.status == "cancelling" else "in_progress",
        request_counts=MessageBatchCounts(**found),
        created_at=_time(batch.created_at),
        expires_at=_time(batch.expires_at),
        ended_at=None if ended_at is None else _time(ended_at),
        cancel_initiated_at=None if batch.cancelling_at is None else _time(batch.cancelling_at),
        results_url=f"{PATH}/{batch.id}/results" if ended else None,
    )


def result_of(line: bytes) -> bytes:
    """Return a line of a batch's output or error file as a line of results."""
    found = orjson.loads(line)
    return orjson.dumps({"custom_id": found["custom_id"], "result": _result(found)}) + b"\n"


def _result(found: Mapping[str, Any]) -> dict[str, Any]:
    response, error = found["response"], found["error"]
    if response is None:
        kind = _UNASKED.get(error["code"])
        return {"type": kind} if kind is not None else _errored(error["message"])
    body = response["body"]
    if 200 <= response["status_code"] < 300:
        return {"type": "succeeded", "message": body}
    if isinstance(body, dict) and body.get("type") == "error":
        return {"type": "errored", "error": {**body, "request_id": response["request_id"]}}
    return _errored("The request was not answered.")


def _errored(message: str) -> dict[str, Any]:
    said = {"type": "error", "error": {"type": "api_error", "message": message}}
    return {"type": "errored", "error": said}


def _time(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")
