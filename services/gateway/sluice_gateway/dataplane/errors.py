"""Errors of the public API in OpenAI's shape: `{"error": {"message", "type", "param", "code"}}`.

Each message is a sentence that says what to change. Nothing of an upstream's own text, address or key stands in one,
except the message of a 4xx with which a provider refused the caller's own parameters.
"""

import logging
from collections.abc import Sequence
from typing import ClassVar

import orjson

from sluice.errors import DeadlineExceeded, DependencyUnavailable, NotFound, ServiceOff, SluiceError, TooManyRequests
from sluice_gateway.translate.shapes import Failure

_log = logging.getLogger(__name__)
INVALID_REQUEST = "invalid_request_error"
NO_RETRY = (b"x-should-retry", b"false")  # the official clients heed it


class ApiError(Exception):
    """An answer that is not a success; subclasses fix status, type and code."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    code: ClassVar[str | None] = "internal_error"

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.error_code = code or self.code
        self.headers = tuple(headers)

    def failure(self) -> Failure:
        """Return the error for a translator."""
        return Failure(self.status, self.type, self.message, self.param, self.error_code)

    def body(self) -> bytes:
        """Return the error as JSON."""
        return orjson.dumps(
            {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.error_code}}
        )


class InvalidRequest(ApiError):
    """The caller must change the request."""

    status, type, code = 400, INVALID_REQUEST, None


def wrong_value(param: str, rule: str) -> InvalidRequest:
    """Return the refusal of a field: its name, and the rule that it breaks."""
    return InvalidRequest(f"`{param}` {rule}", param=param, code="invalid_value")


class InvalidKey(ApiError):
    """No API key came, or none that works."""

    status, type, code = 401, "authentication_error", "invalid_api_key"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message, code=code, headers=((b"www-authenticate", b"Bearer"),))


class NotPermitted(ApiError):
    """The key is good and may not do this."""

    status, type, code = 403, "permission_error", "model_not_allowed"


def out_of_region() -> NotPermitted:
    """Return the refusal of a model or route that has no deployment where the caller's organisation allows one."""
    return NotPermitted(
        "This model runs in no region that your organisation allows. Use another model, or ask your administrator.",
        param="model",
        code="region_not_allowed",
    )


class UnknownModel(ApiError):
    """There is no model or route of that name."""

    status, type, code = 404, INVALID_REQUEST, "model_not_found"


class NotThere(ApiError):
    """Something that the request names does not exist, or belongs to another tenant."""

    status, type, code = 404, INVALID_REQUEST, "not_found"


class WrongMethod(ApiError):
    """The path exists and has another method."""

    status, type, code = 405, INVALID_REQUEST, "method_not_allowed"


class BodyTooLarge(ApiError):
    """The body is over the limit."""

    status, type, code = 413, INVALID_REQUEST, "request_too_large"


class UnsupportedBody(ApiError):
    """The body is compressed or no JSON."""

    status, type, code = 415, INVALID_REQUEST, "unsupported_media_type"


class Blocked(ApiError):
    """A guard refused the input (the handbook's F265 and F267)."""

    status, type, code = 400, "content_policy_violation", "content_filter"


class RefusedByUpstream(ApiError):
    """The provider refused the caller's parameters; status 400 or 422 is kept."""

    status, type, code = 400, INVALID_REQUEST, "invalid_request"


class UnprocessableByUpstream(RefusedByUpstream):
    """As `RefusedByUpstream`, with status 422."""

    status = 422


class RateLimited(ApiError):
    """Every deployment that could answer says that its rate limit is reached."""

    status, type, code = 429, "rate_limit_error", "rate_limit_exceeded"


class LimitReached(ApiError):
    """A limit of the key, its team or its organisation is reached."""

    status, type, code = 429, "rate_limit_error", "rate_limit_exceeded"


class QuotaUsedUp(ApiError):
    """A budget of the key, its team or its organisation does not cover this request."""

    status, type, code = 429, "insufficient_quota", "insufficient_quota"


class PriceUnknown(ApiError):
    """The key has a budget, and nobody knows what the model costs."""

    status, type, code = 403, "permission_error", "price_unknown"


class UpstreamBroken(ApiError):
    """Every deployment that could answer failed."""

    status, type, code = 502, "upstream_error", "upstream_failed"


class Overloaded(ApiError):
    """Every deployment is as busy as it may be."""

    status, type, code = 503, "overloaded_error", "model_overloaded"


class Unavailable(ApiError):
    """Something that this request needs is away."""

    status, type, code = 503, "service_unavailable", "dependency_unavailable"


class StoreMissing(ApiError):
    """A policy searches a vector store that is not there; no request can change that."""

    status, type, code = 503, "service_unavailable", "policy_store_missing"


class GuardPolicyMissing(ApiError):
    """A policy names a guard policy that is not there; no request can change that."""

    status, type, code = 503, "service_unavailable", "guard_policy_missing"


def lacks_guard_policy(exc: SluiceError) -> bool:
    """Say whether the guardrail has no guard policy of the name that it was asked with."""
    return isinstance(exc, NotFound) and exc.code == "unknown_policy"


def without_guard_policy(name: str) -> GuardPolicyMissing:
    """Return the refusal of what is to be checked under a guard policy that is not there."""
    return GuardPolicyMissing(
        f"The guard policy {name!r}, which the policy of this model or key names, does not exist, so nothing could be checked. Ask your administrator to correct it.",
        headers=(NO_RETRY,),
    )


def not_checked(what: str, exc: SluiceError, *, late: bool, guard_policy: str) -> ApiError:
    """Return the refusal of what the guardrail could not be asked about, where a policy fails closed; `late`: by the caller's own deadline."""
    if lacks_guard_policy(exc):
        return without_guard_policy(guard_policy)
    if late:
        return OutOfTime(
            f"The caller's deadline passed before the {what} was checked. Allow more time with x-sluice-deadline-ms."
        )
    said = f"The {what} could not be checked, and the policy of this model demands it."
    if isinstance(exc, ServiceOff):
        return Unavailable(f"{said} {exc.detail} Or give the model a policy without a guard.", code=exc.code)
    return Unavailable(f"{said} Try again in a few seconds.")


class OutOfTime(ApiError):
    """The caller's deadline or the model's time limit passed."""

    status, type, code = 504, "timeout_error", "deadline_exceeded"


class Internal(ApiError):
    """A mistake of ours; the log has the details."""


class Gone(Exception):
    """The client closed its connection; there is nobody to answer."""


def starting() -> Unavailable:
    """Return the refusal of a request that came before the routing table."""
    return Unavailable("The gateway is starting: its routing table has not arrived yet. Try again in a few seconds.")


def unchecked() -> InvalidRequest:
    """Return the refusal of pictures and sound that the policy wants checked: no guard can read them."""
    return InvalidRequest(
        "The policy of this model has everything checked, and images and sound cannot be. Use a model whose policy does not, or ask your administrator.",
        code="unsupported_content",
    )


def stopping() -> Unavailable:
    """Return what clients are told whose answers a gateway that is being stopped could not finish."""
    return Unavailable(
        "The gateway is being stopped and could not finish this answer. Send the request again.",
        code="gateway_stopping",
        headers=((b"retry-after", b"1"),),
    )


def mistake(request_id: str) -> Internal:
    """Log the exception that is being handled, and return what the client is told of it."""
    _log.exception("a request failed", extra={"request_id": request_id})
    return Internal("The gateway made a mistake. It has been logged; try again.")


def from_service(error: SluiceError, what: str) -> ApiError:
    """Return the public error for a Sluice service that could not do its part."""
    if isinstance(error, DeadlineExceeded):
        return OutOfTime(f"The {what} did not finish within the time allowed. Allow more time, or try again.")
    if isinstance(error, TooManyRequests):
        return RateLimited(
            f"The {what} has reached its limit. Try again in a second.", headers=((b"retry-after", b"1"),)
        )
    if isinstance(error, ServiceOff):
        return Unavailable(error.detail, code=error.code)
    if isinstance(error, DependencyUnavailable) or error.status >= 500:
        return Unavailable(f"The {what} is not available now. Try again in a few seconds.")
    return InvalidRequest(error.detail, code="not_found" if isinstance(error, NotFound) else error.code)
