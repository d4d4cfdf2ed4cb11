"""Seals a tool call that waits for approval into a record that the client keeps: encrypted, for one tenant, and for a while."""

import base64
import hashlib
import hmac

from cryptography.fernet import Fernet, InvalidToken
from pydantic import BaseModel, ConfigDict

from sluice.clock import Clock
from sluice.contracts.guard import CheckRequest, OutputVerdict, ToolCall, ToolKind, ToolRisk, ToolVerdict
from sluice.masking import Vault
from sluice_guardrail.domain.errors import UnreadableApproval


class WaitingCall(BaseModel):
    """The record: the call as the output check let it pass, and by which rules it waits."""

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    arguments: str
    kind: ToolKind
    risk: ToolRisk
    policy: str


class ApprovalSeal:
    """Seals and opens records with a key that is made from the service secret and the tenant; nothing is stored.

    Every process with the same secret opens what another sealed. What was confirmed is not the model's to change: the record holds the arguments.
    """

    def __init__(self, secret: str, clock: Clock, ttl_s: int) -> None:
        self._secret = secret.encode()
        self._clock = clock
        self._ttl_s = ttl_s

    def sealed(self, verdict: OutputVerdict, request: CheckRequest, tenant: str) -> OutputVerdict:
        """Return the verdict with a record for each call that waits; values that the request's vault stands for are put back into it."""
        texts = {segment.id: segment.text for segment in verdict.filtered_segments or ()}
        vault = Vault(request.vault)

        def seal(one: ToolVerdict, call: ToolCall) -> ToolVerdict:
            text = verdict.filtered_response if call.segment_id is None else texts.get(call.segment_id)
            return self._seal(one, vault.restore(text or ""), verdict.policy, tenant)

        found = tuple(
            seal(one, call) if one.action == "approve" and verdict.safe else one
            for one, call in zip(verdict.tool_calls, request.tool_calls, strict=True)
        )
        return verdict.model_copy(update={"tool_calls": found})

    def open(self, approval: str, tenant: str) -> WaitingCall:
        """Return the call of a record.

        Raises:
            UnreadableApproval: it was altered, made for another tenant or with another secret, or its time is over.
        """
        try:
            content = self._cipher(tenant).decrypt_at_time(approval, self._ttl_s, int(self._clock.now()))
        except (InvalidToken, ValueError) as exc:
            raise UnreadableApproval(
                "The approval does not open: it was altered, is another tenant's, or its time is over. Ask the model again."
            ) from exc
        return WaitingCall.model_validate_json(content)

    def _seal(self, verdict: ToolVerdict, arguments: str, policy: str, tenant: str) -> ToolVerdict:
        now = int(self._clock.now())
        kept = WaitingCall(
            id=verdict.id,
            name=verdict.name,
            arguments=arguments,
            kind=verdict.kind,
            risk=verdict.risk,
            policy=policy,
        )
        token = self._cipher(tenant).encrypt_at_time(kept.model_dump_json().encode(), now).decode()
        return verdict.model_copy(update={"approval": token, "expires_at": float(now + self._ttl_s)})

    def _cipher(self, tenant: str) -> Fernet:
        key = hmac.new(self._secret, b"sluice guardrail approval\0" + tenant.encode(), hashlib.sha256).digest()
        return Fernet(base64.urlsafe_b64encode(key))
