"""Who may say which policy the requests of a key, a team or an organisation follow."""

from collections.abc import Collection

from sluice.contracts.gateway import CreateApiKey, UpdateApiKey
from sluice.contracts.tenancy import CreateOrganization, CreateTeam, UpdateOrganization, UpdateTeam
from sluice.errors import Forbidden
from sluice_gateway.domain.audit import Actor
from sluice_gateway.domain.errors import PolicyUnknown


def check_policy(
    request: CreateApiKey | UpdateApiKey | CreateTeam | UpdateTeam | CreateOrganization | UpdateOrganization,
    actor: Actor,
    known: Collection[str] | None,
) -> None:
    """Refuse a policy that there is not, and any change of one by an organisation's own administrator.

    `known` is None while no routing snapshot is there: then every name is taken. To take a policy away is a change, too.

    Raises:
        Forbidden: it is not the platform's administrator who asks.
        PolicyUnknown: the routing snapshot has no policy of this name.
    """
    policy = request.policy
    updates = isinstance(request, UpdateApiKey | UpdateTeam | UpdateOrganization)
    if policy is None and not (updates and "policy" in request.model_fields_set):
        return
    if actor.organization_id is not None:
        raise Forbidden(
            "A policy replaces the guards of models, so only the platform's administrator may set one or take it away."
        )
    if policy is not None and known is not None and policy not in known:
        raise PolicyUnknown(
            f"There is no policy {policy!r}; the configuration has {', '.join(sorted(known)) or 'none'}."
        )
