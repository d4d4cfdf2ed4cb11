"""Bedrock's errors: what each means."""

from sluice_gateway.translate.refusals import for_caller
from sluice_gateway.translate.shapes import Json, Kind, Refusal

_STATUSES: dict[int, Kind] = {400: "request", 403: "credential", 404: "credential", 408: "failure", 413: "request", 424: "failure",
                              429: "limit", 503: "overloaded"}  # fmt: skip
_EXCEPTIONS: dict[str, Kind] = {
    "validationException": "request",
    "throttlingException": "limit",
    "serviceUnavailableException": "overloaded",
}
_CONTEXT = ("too many tokens", "input is too long", "prompt is too long", "context length", "context window")
# a 400 about the name or the reach of a model is the operator's
_OPERATORS = ("model identifier is invalid", "on-demand throughput isn", "inference profile", "don't have access")


def refused(status: int, found: Json) -> Refusal:
    """Say what an error answer means."""
    message = found.get("message") or found.get("Message")
    return _judged(_STATUSES.get(status, "failure"), message)


def broken_off(name: str, found: Json) -> Refusal:
    """Say what an exception in the middle of a stream means."""
    return _judged(_EXCEPTIONS.get(name, "failure"), found.get("message"))


def _judged(kind: Kind, said: object) -> Refusal:
    message = said if isinstance(said, str) else ""
    lower = message.lower()
    if kind == "request" and any(phrase in lower for phrase in _OPERATORS):
        return for_caller("credential", message)
    if kind == "request" and any(phrase in lower for phrase in _CONTEXT):
        return for_caller("context", message)
    return for_caller(kind, message)
