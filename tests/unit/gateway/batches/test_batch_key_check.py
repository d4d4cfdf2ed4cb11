"""Whether the key of a batch still works, as the database says, or when it says nothing."""

from dataclasses import dataclass

import pytest
from tests.unit.gateway.keys.tenants import lineage, organization, stored, team

from sluice.errors import DependencyUnavailable
from sluice.testing import FakeClock
from sluice_gateway.adapters.key_check import StoredKeys
from sluice_gateway.domain.batches import OnBehalf
from sluice_gateway.domain.errors import KeyNotFound
from sluice_gateway.domain.tenancy import Lineage


@dataclass
class Source:
    """One lineage, or an error."""

    found: Lineage | Exception

    async def lineage(self, key_id: str) -> Lineage:
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


@pytest.mark.parametrize(
    ("found", "works"),
    [
        (lineage(stored(1)), True),
        (lineage(stored(1, expires_at=2000), team()), True),
        (lineage(stored(1, expires_at=1000)), False),
        (lineage(stored(1, revoked_at=5)), False),
        (lineage(stored(1, disabled=True)), False),
        (lineage(stored(1, team_id="team_search"), team(disabled=True)), False),
        (lineage(stored(1), of=organization(deleted_at=5)), False),
        (lineage(stored(1, "rival")), False),
        (KeyNotFound("gone"), False),
        (DependencyUnavailable("away"), True),
    ],
)
async def test_a_key_works_unless_the_database_says_otherwise(found: Lineage | Exception, works: bool) -> None:
    clock = FakeClock(1000.0)
    assert await StoredKeys(Source(found), clock).works(OnBehalf("acme", "key_1")) is works
