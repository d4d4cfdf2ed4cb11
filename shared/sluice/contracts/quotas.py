"""Quotas of organisations as the gateway's admin API shows them."""

from typing import Literal

from sluice.contracts.base import Reply

QuotaName = Literal["file_bytes", "unfinished_batches"]


class Quota(Reply):
    """How much an organisation may keep or have waiting at most, and what it has now; `share` is used by limit, 1 for a used quota of 0.

    `id` names organisation and quota. `own_limit` says whether the limit is the organisation's own, or the one of every organisation.
    """

    id: str
    object: Literal["quota"] = "quota"
    quota: QuotaName
    organization_id: str
    organization_name: str
    tenant: str
    limit: int
    own_limit: bool
    used: int
    share: float
