"""The audit log: who changed what of organisations, teams, keys and prices, and who deleted transcripts, kept responses or conversations."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

from sluice.contracts.tenancy import AuditActor, AuditRecord, AuditTarget, AuditVerb
from sluice_gateway.domain.errors import OrganizationNotFound
from sluice_gateway.domain.keys import StoredKey
from sluice_gateway.domain.prices import StoredPrice
from sluice_gateway.domain.responses import ResponseFilter
from sluice_gateway.domain.tenancy import StoredOrganization, StoredTeam, differing
from sluice_gateway.domain.transcripts import TranscriptFilter

Audited = StoredOrganization | StoredTeam | StoredKey | StoredPrice


@dataclass(frozen=True, slots=True)
class Actor:
    """Who uses the admin API: the platform's administrator, or an admin key, which reaches its own organisation only.

    `organization_id` and `tenant` None mean all.
    """

    kind: AuditActor
    id: str
    organization_id: str | None = None
    tenant: str | None = None

    def within(self, asked: str | None) -> str | None:
        """Return the only organisation that a list may show when `asked` is asked for, None for all.

        Raises:
            OrganizationNotFound: an admin key asks for another organisation.
        """
        if self.organization_id is None:
            return asked
        if asked not in (None, self.organization_id):
            raise OrganizationNotFound(f"There is no organisation with id {asked}.")
        return self.organization_id


ADMINISTRATOR = Actor("administrator", "admin")


class AuditFilter(NamedTuple):
    """Which records are wanted; None does not ask. `since` is included, `until` is not (unix seconds)."""

    organization_id: str | None = None
    actor_id: str | None = None
    action: AuditVerb | None = None
    target: AuditTarget | None = None
    target_id: str | None = None
    since: float | None = None
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Trail:
    """Who changes something, when (unix seconds) and in which request. It makes the records of that change.

    A record is written in the transaction of its change: neither is ever there without the other.
    """

    actor: Actor
    request_id: str
    at: float
    new_id: Callable[[str], str]

    def made(self, thing: Audited) -> AuditRecord:
        """Return the record of a creation."""
        return self._record("create", thing, None, _content(thing))

    def changed(self, action: AuditVerb, before: Audited, after: Audited) -> AuditRecord:
        """Return the record of a change, with the fields that it changed."""
        old, new = differing(_content(before), _content(after))
        return self._record(action, after, old, new)

    def deleted(self, thing: Audited) -> AuditRecord:
        """Return the record of a deletion."""
        return self._record("delete", thing, _content(thing), None)

    def transcripts_deleted(self, organization_id: str, wanted: TranscriptFilter, deleted: int) -> AuditRecord:
        """Return the record of a deletion of transcripts of one organisation: by which filters, and how many."""
        filters = {name: value for name, value in asdict(wanted).items() if value is not None}
        return self._deletion("transcripts", organization_id, {**filters, "deleted": deleted})

    def kept_deleted(
        self, what: Literal["responses", "conversations"], organization_id: str, wanted: ResponseFilter, deleted: int
    ) -> AuditRecord:
        """Return the record of a deletion of kept responses, or conversations, of one organisation: by which filters, and how many."""
        filters = {name: value for name, value in wanted._asdict().items() if value is not None}
        return self._deletion(what, organization_id, {**filters, "deleted": deleted})

    def _deletion(self, target: AuditTarget, organization_id: str, before: dict[str, Any]) -> AuditRecord:
        return AuditRecord(
            id=self.new_id("aud"),
            at=self.at,
            actor=self.actor.kind,
            actor_id=self.actor.id,
            action="delete",
            target=target,
            target_id=target,
            organization_id=organization_id,
            before=before,
            request_id=self.request_id,
        )

    def _record(
        self, action: AuditVerb, thing: Audited, before: dict[str, Any] | None, after: dict[str, Any] | None
    ) -> AuditRecord:
        return AuditRecord(
            id=self.new_id("aud"),
            at=self.at,
            actor=self.actor.kind,
            actor_id=self.actor.id,
            action=action,
            target=_target(thing),
            target_id=thing.id,
            organization_id=thing.organization_id,
            before=before,
            after=after,
            request_id=self.request_id,
        )


def _target(thing: Audited) -> AuditTarget:
    if isinstance(thing, StoredOrganization):
        return "organization"
    if isinstance(thing, StoredPrice):
        return "price"
    return "team" if isinstance(thing, StoredTeam) else "api_key"


def _content(thing: Audited) -> dict[str, Any]:
    shown = thing.shown(0.0) if isinstance(thing, StoredKey) else thing.shown()
    return shown.model_dump(mode="json", exclude={"id", "object", "status"})
