"""What a configuration asks for that is not there: services that are not part of the installation, keys of providers."""

from collections.abc import Callable, Collection, Iterator

from sluice.contracts.routing import DeploymentAuth
from sluice_router.domain.config import ModelsFile, PolicyConfig


def unserved(whole: ModelsFile, off: Collection[str]) -> Iterator[str]:
    """Return a sentence for each model or route that cannot be answered while the services `off` do not run."""
    policies = {policy.name: policy for policy in whole.policies}
    named = [*((one.name, one.policy) for one in whole.models), *((one.name, one.policy) for one in whole.routes)]
    for name, policy in named:
        for service in _needed(policies.get(policy or "")):
            if service in off:
                yield _said(name, f"its policy `{policy}`", service)
    for model in whole.models:
        if all(place.auth.kind == "service" and place.auth.audience in off for place in model.deployments):
            yield _said(model.name, "every deployment of it", str(model.deployments[0].auth.audience))


def unguarded(whole: ModelsFile, guards: Collection[str]) -> Iterator[str]:
    """Return a sentence for each policy that names a guard policy which is none of `guards`, those of guard.yaml."""
    for policy in whole.policies:
        if policy.guard_policy not in guards:
            yield (
                f"The policy {policy.name} checks nothing: its guard_policy {policy.guard_policy!r} is not in guard.yaml, which has {', '.join(sorted(guards))}. "
                "Name one of these, or add it there."
            )


def keyless(whole: ModelsFile, has_key: Callable[[DeploymentAuth], bool]) -> Iterator[str]:
    """Return a sentence for each deployment whose key is not there; one that may be called as the machine's own role needs none."""
    for model in whole.models:
        for place in model.deployments:
            if (place.auth.env or place.auth.file) and not has_key(place.auth):
                yield f"{place.id or place.base_url} of {model.name} cannot be asked: {key_missing(place.auth)} (router and gateway need it)."


def key_missing(auth: DeploymentAuth) -> str:
    """Say which key is not there."""
    if auth.file:
        return f"the file {auth.file} of SLUICE_SECRETS_DIR, which should hold its key, cannot be read"
    return f"the variable {auth.env}, which should hold its key, is not set"


def _needed(policy: PolicyConfig | None) -> Iterator[str]:
    # What degrades by choice is no need: the policy says that it goes on without.
    if policy is None:
        return
    if "enforce" in (policy.guard_input, policy.guard_output) and policy.on_guard_error == "closed":
        yield "guardrail"
    if policy.retrieval is not None and policy.retrieval.on_error == "fail":
        yield "retrieval"


def _said(name: str, what: str, service: str) -> str:
    return f"{name} answers 503: {what} needs the {service} service, which is off. Add `{service}` to SLUICE_SERVICES, or change it in models.yaml."
