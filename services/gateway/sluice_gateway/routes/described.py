"""How the OpenAPI document describes the errors of the public paths."""

from typing import Any

from sluice_gateway.routes.public import ErrorReply

_MEANINGS = {
    400: "The request cannot be used as it is",
    401: "No API key, or not a valid one",
    403: "The key may not do this",
    404: "There is no such thing, or not for this tenant",
    409: "Its state does not allow this",
    413: "Over the size limit",
    415: "The body's media type is not read here",
    416: "The range lies outside the file",
    422: "A value is not acceptable",
    429: "A limit is reached",
    503: "Something that the request needs is away",
}


def public_errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return FastAPI's `responses=` for errors in OpenAI's shape; what any path may answer is always among them."""
    return {
        status: {"model": ErrorReply, "description": _MEANINGS[status]} for status in sorted({*statuses, 400, 401, 503})
    }
