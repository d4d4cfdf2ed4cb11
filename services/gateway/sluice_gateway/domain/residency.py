"""Data residency: which deployments an organisation's requests may reach (F092)."""


def may_use(region: str | None, allowed: frozenset[str] | None) -> bool:
    """Tell whether a request may go to a deployment in `region`; `allowed` None means anywhere.

    A deployment that does not say where it is may not be used by a tenant that is bound to regions.
    """
    return allowed is None or (region is not None and region in allowed)
