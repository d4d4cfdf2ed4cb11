"""Errors of services as the public API answers them: OpenAI's shape."""

import json
from typing import NamedTuple

from sluice.errors import Problem

_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    429: "rate_limit_error",
    500: "server_error",
    502: "upstream_error",
    503: "service_unavailable",
    504: "timeout_error",
}
_PASSED_ON = frozenset({400, 403, 404, 405, 409, 410, 412, 413, 415, 416, 422, 429, 503, 504})


class PublicError(NamedTuple):
    """One error: its status and the four fields of OpenAI's error object."""

    status: int
    message: str
    type: str
    param: str | None
    code: str | None

    def body(self) -> bytes:
        """Return the error as JSON."""
        fields = {"message": self.message, "type": self.type, "param": self.param, "code": self.code}
        return json.dumps({"error": fields}, ensure_ascii=False).encode()


def type_of(status: int) -> str:
    """Return OpenAI's error type for a status."""
    return _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")


def public_error(status: int, detail: str, problem: Problem | None, service: str) -> PublicError:
    """Return what the caller of the public API learns of an error that a service behind the gateway answered.

    Statuses that speak of the caller's own request, of limits or of absence are kept. The rest becomes 502: it is
    between the gateway and the service (a 401 would say that the gateway's own token was refused).
    """
    if status not in _PASSED_ON:
        return PublicError(
            502, f"The {service} service could not handle this request.", type_of(502), None, "upstream_failed"
        )
    param = None
    if problem and problem.errors:
        loc = str(problem.errors[0].get("loc", ""))
        param = loc.partition(".")[2] or None
    code = problem.code if problem else {404: "not_found", 405: "method_not_allowed"}.get(status, "service_error")
    return PublicError(status, detail, type_of(status), param, code)
