"""Errors of chat-completion providers: what each means."""

from sluice_gateway.translate.hub import details
from sluice_gateway.translate.refusals import for_caller
from sluice_gateway.translate.shapes import Json, Kind, Refusal

_STATUSES: dict[int, Kind] = {400: "request", 413: "request", 422: "request", 429: "limit", 503: "overloaded",
                              401: "credential", 402: "credential", 403: "credential", 404: "credential"}  # fmt: skip
_CONTEXT = ("context length", "context window", "maximum context", "context_length_exceeded", "exceed_context_size")
_QUOTA = ("insufficient_quota", "billing_hard_limit_reached")


def refused(status: int | None, found: Json) -> Refusal:
    """Say what an error object means; `status` is None for one in the middle of a stream."""
    error = found.get("error", found)
    fields: Json = error if isinstance(error, dict) else {"message": error}
    said = fields.get("message") or fields.get("detail")
    message = said if isinstance(said, str) else ""
    code = f"{fields.get('code')} {fields.get('type')}"
    given = fields.get("code")
    kind = _STATUSES.get(status or (given if isinstance(given, int) else 0), "failure")
    if any(phrase in message or phrase in code for phrase in _CONTEXT):
        kind = "context"
    elif "content_filter" in code or "content_filter" in str(details(fields, "innererror").get("code")):
        kind = "content"
    elif any(phrase in code for phrase in _QUOTA):
        kind = "credential"
    param = fields.get("param")
    return for_caller(kind, message, param=param if isinstance(param, str) and len(param) <= 100 else None)
