"""`sluice budgets`: what is spent of the budgets of organisations, teams and keys."""

from sluice_cli.commands.shares import AsJson, MinShare, Org, show_shares

_COLUMNS = ("level", "holder_id", "holder_name", "tenant", "period", "spent_usd", "limit_usd", "share")


def budgets(org: Org = None, min_share: MinShare = 0.0, as_json: AsJson = False) -> None:
    """List budgets with what is spent of them, the most used-up first."""
    show_shares("/admin/budgets", _COLUMNS, org, min_share, as_json=as_json)
