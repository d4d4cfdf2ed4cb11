"""Which of Sluice's services may ask the gateway on behalf of an API key, and how they prove it."""

from dataclasses import dataclass

from sluice.auth import ServiceTokens
from sluice.errors import Unauthorized
from sluice_gateway.domain.batches import WORKER_SUBJECT
from sluice_gateway.domain.ring import Delegation

_AUDIENCE = "gateway"
_MAY_ASK_FOR_KEYS = frozenset({"eval-worker", WORKER_SUBJECT})


@dataclass(frozen=True, slots=True)
class ServiceDelegations:
    """Takes service tokens for the gateway that name an API key, from the few services that work for keys later on."""

    tokens: ServiceTokens

    def check(self, token: bytes) -> Delegation | None:
        """Return what a token says, None when it is not valid here or its holder may not ask for others."""
        try:
            caller = self.tokens.verify(token.decode("latin-1"), _AUDIENCE)
        except Unauthorized:
            return None
        if caller.role != "service" or caller.subject not in _MAY_ASK_FOR_KEYS:
            return None
        if caller.key_id is None or caller.expires_at is None:
            return None
        return Delegation(caller.tenant, caller.key_id, caller.expires_at)
