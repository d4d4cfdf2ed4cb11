"""Errors that carry their HTTP status, code and sentence; rendered as RFC 9457 problems."""

from collections.abc import Mapping
from typing import Any, ClassVar

from sluice.contracts.base import Reply


class Problem(Reply):
    """An error as services answer it (RFC 9457, media type application/problem+json)."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str | None = None
    errors: tuple[dict[str, Any], ...] | None = None


class SluiceError(Exception):
    """The base of all errors that may reach a caller; `detail` is a sentence that says what to do."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Internal error"

    def __init__(self, detail: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.headers = dict(headers or {})

    def problem(self, request_id: str | None = None) -> Problem:
        """Return the error in the shape that goes over the wire."""
        return Problem(
            type=f"urn:sluice:error:{self.code}",
            title=self.title,
            status=self.status,
            detail=self.detail,
            code=self.code,
            request_id=request_id,
        )


class BadRequest(SluiceError):
    """The request cannot be understood."""

    status, code, title = 400, "bad_request", "Bad request"


class Unauthorized(SluiceError):
    """No valid credential came with the request."""

    status, code, title = 401, "unauthorized", "Not authenticated"


class Forbidden(SluiceError):
    """The credential does not allow this."""

    status, code, title = 403, "forbidden", "Not allowed"


class NotFound(SluiceError):
    """There is no such thing, or not for this tenant."""

    status, code, title = 404, "not_found", "Not found"


class Conflict(SluiceError):
    """The thing is in a state in which this cannot be done."""

    status, code, title = 409, "conflict", "Conflict"


class PayloadTooLarge(SluiceError):
    """The body is over the configured limit."""

    status, code, title = 413, "payload_too_large", "Payload too large"


class UnsupportedMediaType(SluiceError):
    """The body's media type is not one that this endpoint reads."""

    status, code, title = 415, "unsupported_media_type", "Unsupported media type"


class RangeNotSatisfiable(SluiceError):
    """The wanted part lies outside of the thing."""

    status, code, title = 416, "range_not_satisfiable", "Range not satisfiable"


class Unprocessable(SluiceError):
    """The request is well formed and its values are not acceptable."""

    status, code, title = 422, "unprocessable", "Unprocessable content"


class TooManyRequests(SluiceError):
    """A limit is reached; `Retry-After` says when to come back."""

    status, code, title = 429, "too_many_requests", "Too many requests"


class UpstreamFailed(SluiceError):
    """A service that was asked answered with an error of its own."""

    status, code, title = 502, "upstream_failed", "Upstream failed"


class DependencyUnavailable(SluiceError):
    """A service or store that is needed cannot be reached now."""

    status, code, title = 503, "dependency_unavailable", "Dependency unavailable"


NO_DEPLOYMENT = "no_deployment"
"""The code of the router's 503 that is a decision: every deployment of a route is down, and the route says that none is to be tried then."""


class ServiceOff(DependencyUnavailable):
    """A service that is needed is not part of this installation; the sentence says what to set."""

    code, title = "service_off", "Service is off"


class DeadlineExceeded(SluiceError):
    """The time that the caller allowed has run out."""

    status, code, title = 504, "deadline_exceeded", "Deadline exceeded"


def problem_responses(*classes: type[SluiceError]) -> dict[int | str, dict[str, Any]]:
    """Return FastAPI's `responses=` for the given errors, so that the OpenAPI document names each one."""
    by_status: dict[int, list[type[SluiceError]]] = {}
    for cls in classes:
        by_status.setdefault(cls.status, []).append(cls)
    return {
        status: {
            "model": Problem,
            "description": "; ".join(sorted({cls.title for cls in group})),
            "content": {"application/problem+json": {}},
        }
        for status, group in by_status.items()
    }
