"""Failures in OpenAI's shape, with the status that the provider really gave."""

from typing import Any

from sluice.errors import NotFound, SluiceError

INVALID_REQUEST = "invalid_request_error"
MAX_MESSAGE = 500


class ProviderFailed(Exception):
    """A request that the provider, or its SDK, did not answer.

    Attributes:
        status: the provider's own HTTP status; 502 when it sent none, 504 when it took too long.
        retry_after: its `Retry-After` as it came: seconds, or an HTTP date.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        retry_after: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message[:MAX_MESSAGE]
        self.code = code
        self.param = param
        self.retry_after = retry_after

    def body(self) -> dict[str, Any]:
        """Return the error as OpenAI's API writes it."""
        kind = INVALID_REQUEST if self.status in (400, 404, 409, 413, 422) else "api_error"
        if self.status == 429:
            kind = "rate_limit_error"
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}

    def headers(self) -> dict[str, str]:
        """Return the headers that belong to it."""
        return {"retry-after": self.retry_after} if self.retry_after else {}


class UnknownProvider(NotFound):
    """The model names a provider that bridge.yaml does not have."""

    code = "unknown_provider"


class NotConfigured(SluiceError):
    """A provider's key is missing, or its SDK is not installed."""

    status, code, title = 503, "provider_not_configured", "Provider not configured"


def refused(param: str, rule: str) -> ProviderFailed:
    """Return the refusal of a field: its name, and what is wrong with it."""
    return ProviderFailed(400, f"`{param}` {rule}", code="invalid_value", param=param)
