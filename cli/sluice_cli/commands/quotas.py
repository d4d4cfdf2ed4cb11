"""`sluice quotas`: how much organisations keep and have waiting, of what they may."""

from sluice_cli.commands.shares import AsJson, MinShare, Org, show_shares

_COLUMNS = ("quota", "organization_id", "organization_name", "tenant", "used", "limit", "share")


def quotas(org: Org = None, min_share: MinShare = 0.0, as_json: AsJson = False) -> None:
    """List the quotas of organisations (bytes of files, unfinished batches) with what they use, the most used-up first."""
    show_shares("/admin/quotas", _COLUMNS, org, min_share, as_json=as_json)
