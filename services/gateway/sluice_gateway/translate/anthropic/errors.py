"""Anthropic's errors: what each means."""

from sluice_gateway.translate.refusals import for_caller
from sluice_gateway.translate.shapes import Json, Kind, Refusal

_KINDS: dict[str, Kind] = {
    "invalid_request_error": "request",
    "request_too_large": "request",
    "rate_limit_error": "limit",
    "overloaded_error": "overloaded",
    "authentication_error": "credential",
    "permission_error": "credential",
    "billing_error": "credential",
    "not_found_error": "credential",
    "timeout_error": "failure",
    "api_error": "failure",
}
_STATUSES: dict[int, Kind] = {400: "request", 413: "request", 422: "request", 429: "limit", 529: "overloaded", 503: "overloaded",
                              401: "credential", 402: "credential", 403: "credential", 404: "credential"}  # fmt: skip
_CONTEXT = ("prompt is too long", "exceed context limit", "context window")
_CONTENT = ("content filtering policy",)
_BILLING = ("credit balance is too low",)


def refused(status: int | None, found: Json) -> Refusal:
    """Say what an error object means; `status` is None for one in the middle of a stream."""
    error = found.get("error")
    fields: Json = error if type(error) is dict else {}
    said, kind_said = fields.get("message"), fields.get("type")
    kind = _KINDS.get(kind_said) if isinstance(kind_said, str) else None
    if kind is None:
        kind = _STATUSES.get(status or 0, "failure")
    message = said if isinstance(said, str) else ""
    if kind == "request" and any(phrase in message for phrase in _CONTEXT):
        kind = "context"
    elif kind == "request" and any(phrase in message for phrase in _CONTENT):
        kind = "content"
    elif kind == "request" and any(phrase in message for phrase in _BILLING):
        kind = "credential"
    return for_caller(kind, message)
