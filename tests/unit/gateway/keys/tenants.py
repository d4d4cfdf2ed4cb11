"""Organisations, teams and keys for unit tests, with digests that a real ring recognises."""

from typing import Any

from sluice_gateway.domain.keys import StoredKey, digest_of
from sluice_gateway.domain.tenancy import Directory, Lineage, StoredOrganization, StoredTeam

PEPPER = b"pepper"


def organization(name: str = "acme", **fields: Any) -> StoredOrganization:
    """Return the organisation `org_<name>` whose tenant is its name."""
    return StoredOrganization(**{"id": f"org_{name}", "tenant": name, "name": name, "created_at": 0} | fields)


def team(name: str = "search", of: str = "acme", **fields: Any) -> StoredTeam:
    """Return the team `team_<name>`."""
    return StoredTeam(**{"id": f"team_{name}", "organization_id": f"org_{of}", "name": name, "created_at": 0} | fields)


def stored(number: int, tenant: str = "acme", **fields: Any) -> StoredKey:
    """Return the key `key_<number>` whose secret is `sk-<number>`."""
    values = {
        "id": f"key_{number}",
        "digest": digest_of(PEPPER, b"sk-%d" % number),
        "prefix": "sk",
        "name": f"key {number}",
        "organization_id": f"org_{tenant}",
        "tenant": tenant,
        "created_at": 0,
    }
    return StoredKey(**values | fields)


def lineage(key: StoredKey, within: StoredTeam | None = None, of: StoredOrganization | None = None) -> Lineage:
    """Return a key with its parents, by default an organisation without limits."""
    return Lineage(key, within, of or organization(key.tenant))


def directory(*keys: StoredKey, teams: tuple[StoredTeam, ...] = ()) -> Directory:
    """Return keys with an organisation without limits for each tenant."""
    organizations = [organization(name) for name in sorted({key.tenant for key in keys})]
    return Directory(organizations, list(teams), list(keys))


def header(number: int) -> bytes:
    """Return the Authorization header of a key."""
    return b"Bearer sk-%d" % number
