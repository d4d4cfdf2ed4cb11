"""Which checks have to wait for a model."""

from sluice.contracts.guard import CheckRequest
from sluice_guardrail.domain.policy import Policy
from sluice_guardrail.domain.scanners.rules import Scanners


def asks_models(request: CheckRequest, policy: Policy) -> bool:
    """Say whether a check has to wait for a model."""
    roles = {segment.role for segment in request.segments or ()}
    if request.stage == "input":
        return any(_about_each(policy.rules_for(role).scanners) for role in roles or {"user"})
    wanted = policy.output.scanners
    return (
        wanted.harm_model is not None
        or wanted.llm_guard is not None
        or (wanted.groundedness_model is not None and "context" in roles)
        or (wanted.second_opinion is not None and "question" in roles and request.second_opinion is not False)
    )


def _about_each(scanners: Scanners) -> bool:
    return any(one is not None for one in (scanners.harm_model, scanners.injection_model, scanners.llm_guard))
