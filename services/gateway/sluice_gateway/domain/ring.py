"""The key ring: every API key in memory, found by the header that proves it."""

from collections import OrderedDict
from typing import NamedTuple, Protocol

from sluice_gateway.domain.compiling import Parent, organization_parent, record_of, team_parent
from sluice_gateway.domain.keys import StoredKey, bearer_token, digest_of
from sluice_gateway.domain.ports import KeyRecord
from sluice_gateway.domain.tenancy import Directory, Lineage, StoredOrganization, StoredTeam

_REMEMBERED = 4096
_TOKEN_START = b"eyJ"  # `{"` in base64url, as every JWT begins and no API key does
_LONGEST_TOKEN = 4096


class Delegation(NamedTuple):
    """What a service's token says: for which API key of which tenant it asks, and until when (unix seconds)."""

    tenant: str
    key_id: str
    expires_at: float


class Delegations(Protocol):
    """Checks the tokens with which Sluice's own services ask on behalf of an API key; it needs nothing that may be away."""

    def check(self, token: bytes) -> Delegation | None:
        """Return what a token says, None when it is not valid here or its holder may not ask for others."""
        ...


class _Secret:
    """One secret of a key, its record, and the parents and names for which that was compiled."""

    __slots__ = ("key", "names", "organization", "record", "team", "until")

    def __init__(self, key: StoredKey, until: int | None) -> None:
        self.key = key
        self.until = until
        self.record: KeyRecord | None = None
        self.organization: Parent | None = None
        self.team: Parent | None = None
        self.names: frozenset[str] | None = None


class MemoryKeyRing:
    """Keys by digest, and in front of them the headers that were last seen, so that a known caller costs one dict hit.

    A request looks at one record, in which everything is compiled that key, team and organisation say. A record is
    compiled at the key's first request after a change of one of the three, or of the names that patterns in allow-lists stand for: so a change costs the same however many keys
    an organisation has, and no request waits for the keys of others. A key whose organisation is not known does not
    work. Remembered headers hold secrets: they live in memory only and are dropped when any key changes. Checked tokens of
    services are remembered until they expire; the key that they name is looked up each time. Without `delegations` no
    token is a credential.
    """

    def __init__(self, pepper: bytes, delegations: Delegations | None = None, *, remembered: int = _REMEMBERED) -> None:
        self._pepper = pepper
        self._delegations = delegations
        self._limit = remembered
        self._names: frozenset[str] = frozenset()
        self._organizations: dict[str, Parent] = {}
        self._teams: dict[str, Parent] = {}
        self._keys: dict[str, StoredKey] = {}
        self._by_digest: dict[bytes, _Secret] = {}
        self._seen: OrderedDict[bytes, KeyRecord] = OrderedDict()
        self._checked: OrderedDict[bytes, Delegation] = OrderedDict()
        self.loaded = False

    def __len__(self) -> int:
        return len(self._keys)

    def lookup(self, authorization: bytes) -> KeyRecord | None:
        """Return the key that a whole `Authorization` header value proves, or None; also a disabled or expired one."""
        record = self._seen.get(authorization)
        if record is not None:
            self._seen.move_to_end(authorization)
            return record
        token = bearer_token(authorization)
        if token is None:
            return None
        secret = self._by_digest.get(digest_of(self._pepper, token))
        if secret is None:
            return None
        record = self._compiled(secret)
        if len(self._seen) >= self._limit:
            self._seen.popitem(last=False)
        self._seen[authorization] = record
        return record

    def on_behalf(self, authorization: bytes, now: float) -> KeyRecord | None:
        """Return the key for which a service asks with a token, or None; also a disabled or expired one."""
        token = bearer_token(authorization)
        if token is None or not token.startswith(_TOKEN_START) or len(token) > _LONGEST_TOKEN:
            return None
        said = self._delegation(token, now)
        if said is None:
            return None
        key = self._keys.get(said.key_id)
        if key is None or key.tenant != said.tenant:
            return None
        return self._compiled(self._by_digest[key.digest])

    def _delegation(self, token: bytes, now: float) -> Delegation | None:
        known = self._checked.get(token)
        if known is not None and now < known.expires_at:
            self._checked.move_to_end(token)
            return known
        self._checked.pop(token, None)
        said = None if self._delegations is None else self._delegations.check(token)
        if said is not None:
            if len(self._checked) >= self._limit:
                self._checked.popitem(last=False)
            self._checked[token] = said
        return said

    def replace(self, directory: Directory) -> None:
        """Take these organisations, teams and keys instead of all earlier ones."""
        self._organizations = {found.id: organization_parent(found) for found in directory.organizations}
        self._teams = {found.id: team_parent(found) for found in directory.teams}
        self._keys, self._by_digest = {}, {}
        for key in directory.keys:
            self._add(key)
        self._seen.clear()
        self.loaded = True

    def use_names(self, names: frozenset[str]) -> None:
        """Take the names of all models and routes that there are now."""
        if names != self._names:
            self._names = names
            self._seen.clear()

    def put(self, lineage: Lineage) -> None:
        """Take one key that is new or changed, with its team and organisation."""
        self.put_organization(lineage.organization)
        if lineage.team is not None:
            self.put_team(lineage.team)
        self._remove(lineage.key.id)
        self._add(lineage.key)
        self._seen.clear()

    def put_organization(self, organization: StoredOrganization) -> None:
        """Take an organisation that is new or changed, and with it all its keys."""
        parent = organization_parent(organization)
        if self._organizations.get(organization.id) != parent:
            self._organizations[organization.id] = parent
            self._seen.clear()

    def put_team(self, team: StoredTeam) -> None:
        """Take a team that is new or changed, and with it its keys."""
        parent = team_parent(team)
        if self._teams.get(team.id) != parent:
            self._teams[team.id] = parent
            self._seen.clear()

    def drop(self, key_id: str) -> None:
        """Forget one key."""
        self._remove(key_id)
        self._seen.clear()

    def _add(self, key: StoredKey) -> None:
        self._keys[key.id] = key
        self._by_digest[key.digest] = _Secret(key, None)
        for secret in key.retired:
            self._by_digest[secret.digest] = _Secret(key, secret.valid_until)

    def _compiled(self, secret: "_Secret") -> KeyRecord:
        key = secret.key
        organization = self._organizations.get(key.organization_id)
        team = None if key.team_id is None else self._teams.get(key.team_id)
        record = secret.record
        known = secret.organization is organization and secret.team is team and secret.names is self._names
        if record is None or not known:
            record = secret.record = record_of(key, team, organization, until=secret.until, names=self._names)
            secret.organization, secret.team, secret.names = organization, team, self._names
        return record

    def _remove(self, key_id: str) -> None:
        key = self._keys.pop(key_id, None)
        if key is None:
            return
        for digest in (key.digest, *(secret.digest for secret in key.retired)):
            self._by_digest.pop(digest, None)
