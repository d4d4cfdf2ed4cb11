"""Whether an API key still works, as the database says."""

from dataclasses import dataclass
from typing import Protocol

from sluice.clock import Clock
from sluice.errors import DependencyUnavailable
from sluice_gateway.domain.batches import OnBehalf
from sluice_gateway.domain.compiling import organization_parent, record_of, team_parent
from sluice_gateway.domain.errors import KeyNotFound
from sluice_gateway.domain.tenancy import Lineage


class Lineages(Protocol):
    """Where keys are read with their team and organisation; raises DependencyUnavailable while it is away."""

    async def lineage(self, key_id: str) -> Lineage:
        """Return one key with its team and organisation, or raise KeyNotFound."""
        ...


@dataclass(frozen=True, slots=True)
class StoredKeys:
    """Looks keys up in the database.

    Degraded mode: while the database is away every key is taken to work, since nothing says otherwise; the gateway decides.
    """

    lineages: Lineages
    clock: Clock

    async def works(self, who: OnBehalf) -> bool:
        """Tell whether the key exists, is the tenant's, and is neither revoked, disabled nor expired."""
        try:
            found = await self.lineages.lineage(who.key_id)
        except KeyNotFound:
            return False
        except DependencyUnavailable:
            return True
        team = None if found.team is None else team_parent(found.team)
        record = record_of(found.key, team, organization_parent(found.organization))
        ended = record.expires_at is not None and record.expires_at <= self.clock.now()
        return record.tenant == who.tenant and not record.disabled and not ended
