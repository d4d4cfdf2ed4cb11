"""Gemini's errors: what each means."""

import re

from sluice_gateway.translate.hub import details
from sluice_gateway.translate.refusals import for_caller
from sluice_gateway.translate.shapes import Json, Kind, Refusal

_STATUSES: dict[str, Kind] = {
    "INVALID_ARGUMENT": "request",
    "OUT_OF_RANGE": "request",
    "FAILED_PRECONDITION": "credential",
    "UNAUTHENTICATED": "credential",
    "PERMISSION_DENIED": "credential",
    "NOT_FOUND": "credential",
    "RESOURCE_EXHAUSTED": "limit",
    "UNAVAILABLE": "overloaded",
}
_CODES: dict[int, Kind] = {400: "request", 401: "credential", 403: "credential", 404: "credential", 413: "request",
                           429: "limit", 503: "overloaded"}  # fmt: skip
_CONTEXT = ("input token count", "exceeds the maximum number of tokens")
_DELAY = re.compile(r"(\d+(?:\.\d+)?)s")
# reasons that make a 400 the operator's and not the caller's
_OPERATORS = ("API_KEY_INVALID", "API_KEY_EXPIRED", "API_KEY_SERVICE_BLOCKED", "BILLING_DISABLED")


def refused(status: int | None, found: Json) -> Refusal:
    """Say what an error object means; `status` is None for one in the middle of a stream."""
    error = details(found, "error")
    code = error.get("code")
    named = error.get("status")
    kind = _STATUSES.get(named) if isinstance(named, str) else None
    if kind is None:
        kind = _CODES.get(status or (code if isinstance(code, int) else 0), "failure")
    said = error.get("message")
    message = said if isinstance(said, str) else ""
    given = error.get("details")
    more = [item for item in given if isinstance(item, dict)] if isinstance(given, list) else []
    if kind == "request" and any(item.get("reason") in _OPERATORS for item in more):
        kind = "credential"
    elif kind == "request" and any(phrase in message for phrase in _CONTEXT):
        kind = "context"
    return for_caller(kind, message, retry_after_s=_delay(more))


def _delay(more: list[Json]) -> float | None:
    for item in more:
        delay = item.get("retryDelay")
        match = _DELAY.fullmatch(delay) if isinstance(delay, str) else None
        if match:
            return float(match.group(1))
    return None
