"""The typed client of the guardrail service."""

from dataclasses import dataclass

from sluice.clients.http import ServiceClient
from sluice.contracts.guard import (
    BatchCheckRequest,
    BatchVerdicts,
    CheckRequest,
    InputVerdict,
    OutputVerdict,
    PolicyListing,
    RedactReply,
    RedactRequest,
)


@dataclass(frozen=True, slots=True)
class GuardrailClient:
    """Asks whether a text may go on.

    There is no answer to go on without: when the service is away the error reaches the caller, who decides by its
    policy whether to fail closed.
    """

    http: ServiceClient

    async def check_input(self, request: CheckRequest, *, tenant: str, timeout_s: float | None = None) -> InputVerdict:
        """Check a request of stage `input`."""
        return await self.http.request(
            "POST", "/check", request, reply=InputVerdict, tenant=tenant, timeout_s=timeout_s, idempotent=True
        )

    async def check_output(
        self, request: CheckRequest, *, tenant: str, timeout_s: float | None = None
    ) -> OutputVerdict:
        """Check an answer of stage `output`."""
        return await self.http.request(
            "POST", "/check", request, reply=OutputVerdict, tenant=tenant, timeout_s=timeout_s, idempotent=True
        )

    async def check_batch(
        self, request: BatchCheckRequest, *, tenant: str, timeout_s: float | None = None
    ) -> BatchVerdicts:
        """Check up to 64 texts, each on its own."""
        return await self.http.request(
            "POST", "/check/batch", request, reply=BatchVerdicts, tenant=tenant, timeout_s=timeout_s, idempotent=True
        )

    async def redact(self, request: RedactRequest, *, tenant: str, timeout_s: float | None = None) -> RedactReply:
        """Mask personal data and secrets."""
        return await self.http.request(
            "POST", "/redact", request, reply=RedactReply, tenant=tenant, timeout_s=timeout_s, idempotent=True
        )

    async def policies(self, *, tenant: str) -> PolicyListing:
        """Return the policies in force."""
        return await self.http.request("GET", "/policies", reply=PolicyListing, tenant=tenant)
