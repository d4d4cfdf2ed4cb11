"""Quotas: how much a tenant may keep and have waiting, beside the limits of its requests."""

from collections.abc import Iterable
from typing import ClassVar, NamedTuple

from sluice.contracts.quotas import Quota, QuotaName
from sluice.errors import SluiceError

QUOTAS: tuple[QuotaName, ...] = ("file_bytes", "unfinished_batches")


class Quotas(NamedTuple):
    """The most bytes that all files of a tenant may have together, and the most batches that may not have ended."""

    file_bytes: int
    unfinished_batches: int


class QuotaReached(SluiceError):
    """A tenant keeps, or has waiting, as much as it may."""

    quota: ClassVar[QuotaName]


class StorageFull(QuotaReached):
    """The files of the tenant have as many bytes as they may."""

    status, code, title = 403, "storage_quota_exceeded", "Storage quota exceeded"
    quota = "file_bytes"


class TooManyBatches(QuotaReached):
    """The tenant has as many batches that have not ended as it may."""

    status, code, title = 429, "too_many_batches", "Too many batches"
    quota = "unfinished_batches"


class Expected(NamedTuple):
    """How many bytes a file is going to have: at least, and at most as far as its sender says."""

    least: int
    most: int


class InUse(NamedTuple):
    """What an organisation has of a quota, as it is counted; `own` is its own limit, None where every organisation's holds."""

    organization_id: str
    organization_name: str
    tenant: str
    own: float | None
    limit: float
    used: int
    share: float


def quota_of(quota: QuotaName, found: InUse) -> Quota:
    """Return a quota as it is shown."""
    return Quota(
        id=f"{found.organization_id}:{quota}",
        quota=quota,
        organization_id=found.organization_id,
        organization_name=found.organization_name,
        tenant=found.tenant,
        limit=int(found.limit),
        own_limit=found.own is not None,
        used=found.used,
        share=found.share,
    )


def most_used(found: Iterable[Quota], most: int) -> list[Quota]:
    """Return the quotas, the most used-up first, at most `most`."""
    return sorted(found, key=lambda one: (-one.share, one.id))[:most]


def check_file(size: int, used: int, quotas: Quotas) -> None:
    """Raise StorageFull if a file of so many bytes has no room beside those that are kept."""
    if used + size > quotas.file_bytes:
        raise StorageFull(
            f"The files of this organisation may have {quotas.file_bytes} bytes together and have {used}; this one has {size} or more. "
            "Delete some (DELETE /v1/files/{id}), or ask your administrator for a higher `file_bytes`."
        )


def check_batch(unfinished: int, used: int, quotas: Quotas) -> None:
    """Raise TooManyBatches or StorageFull if another batch may not be made, or its answers would have no room."""
    if unfinished >= quotas.unfinished_batches:
        raise TooManyBatches(
            f"This organisation may have {quotas.unfinished_batches} batches that have not ended, and has {unfinished}. "
            "Wait until one ends, or cancel one.",
            headers={"x-should-retry": "false"},
        )
    if used >= quotas.file_bytes:
        raise StorageFull(
            f"The files of this organisation may have {quotas.file_bytes} bytes together and have {used}: the answers of a batch would have no "
            "room. Delete some (DELETE /v1/files/{id}), or ask your administrator for a higher `file_bytes`."
        )
