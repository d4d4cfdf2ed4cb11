"""The choice of a model and deployment for one request, as a pure function of snapshot, request and load."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from sluice.contracts.routing import Deployment, Model, RouteCandidate, RouteDecision, RouteRequest, RoutingSnapshot
from sluice_router.domain.errors import ContextTooLong, ModelNotFound, NoDeployment


@dataclass(frozen=True, slots=True)
class Load:
    """How busy a deployment is: requests running and waiting, out of how many that run at once (None: not known)."""

    running: int = 0
    waiting: int = 0
    slots: int | None = None

    def share(self, weight: float) -> float:
        """Return the load as a share of capacity; without known slots `weight` stands for them."""
        capacity = self.slots if self.slots else 1
        return (self.running + self.waiting) / (capacity * weight)


class _Place(NamedTuple):
    model: Model
    deployment: Deployment
    load: float
    problem: str | None


@dataclass(frozen=True, slots=True)
class _Wish:
    """What the request's model name stands for."""

    candidates: tuple[Model, ...]
    fallbacks: tuple[Model, ...]
    route: str | None
    policy: str | None


def decide(snapshot: RoutingSnapshot, request: RouteRequest, loads: Mapping[str, Load]) -> RouteDecision:
    """Return which model and deployment answers, why, and what to try next.

    Among the healthy deployments of all candidate models whose context holds the prompt, the one with the lowest load
    (running and waiting requests by slots and weight) is taken; equal loads fall to the order of the configuration.
    When none is left, the fallback models are looked at in order. When everything is down, the first candidate that
    fits is tried as a last resort: it may have come back since the last probe.

    Raises:
        ModelNotFound: neither a route nor a model has this name.
        ContextTooLong: no candidate's context holds the prompt.
        NoDeployment: there is nothing to try.
    """
    wish = _wish(snapshot, request.model)
    looked = [list(_places((model,), request, loads)) for model in wish.fallbacks]
    first = list(_places(wish.candidates, request, loads))
    seen = [*first, *(place for places in looked for place in places)]
    chosen, reason = _choose(first, looked)
    if chosen is None:
        chosen, reason = _last_resort(seen, request)
    return RouteDecision(
        model=chosen.model.name,
        instance=chosen.deployment.id,
        route=wish.route,
        reason=reason,
        fallbacks=_fallbacks(wish, chosen.model),
        policy=wish.policy if wish.policy else chosen.model.policy,
        snapshot_version=snapshot.version,
        candidates=_explained(seen, chosen, reason) if request.explain else None,
    )


def _wish(snapshot: RoutingSnapshot, name: str) -> _Wish:
    models = {model.name: model for model in snapshot.models}
    for route in snapshot.routes:
        if route.name == name:
            return _Wish(_pick(models, route.candidates), _pick(models, route.fallbacks), route.name, route.policy)
    model = models.get(name)
    if model is None:
        known = ", ".join([*(route.name for route in snapshot.routes), *models])
        raise ModelNotFound(f"There is no model or route named {name!r}. Known: {known or 'none'}.")
    return _Wish((model,), _pick(models, model.fallbacks), None, None)


def _pick(models: Mapping[str, Model], names: tuple[str, ...]) -> tuple[Model, ...]:
    return tuple(models[name] for name in names if name in models)


def _places(models: tuple[Model, ...], request: RouteRequest, loads: Mapping[str, Load]) -> Iterator[_Place]:
    for model in models:
        too_long = request.prompt_tokens >= model.context_tokens
        for deployment in model.deployments:
            problem = None
            if too_long:
                problem = (
                    f"the prompt of {request.prompt_tokens} tokens does not fit its context of {model.context_tokens}"
                )
            elif deployment.health == "down":
                problem = f"it is down ({deployment.health_reason or 'no reason known'})"
            yield _Place(model, deployment, loads.get(deployment.id, Load()).share(deployment.weight), problem)


def _choose(first: list[_Place], fallbacks: list[list[_Place]]) -> tuple[_Place | None, str]:
    for number, places in enumerate([first, *fallbacks]):
        usable = [place for place in places if place.problem is None]
        if usable:
            best = min(usable, key=lambda place: place.load)
            if number:
                return best, f"fallback: no candidate before {best.model.name} can answer"
            return best, "the only candidate" if len(first) == 1 else f"least loaded of {len(usable)} ({best.load:.2f})"
    return None, ""


def _last_resort(seen: list[_Place], request: RouteRequest) -> tuple[_Place, str]:
    fitting = [place for place in seen if request.prompt_tokens < place.model.context_tokens]
    if fitting:
        return fitting[0], "last resort: every deployment that could answer is down"
    if seen:
        longest = max(place.model.context_tokens for place in seen)
        raise ContextTooLong(
            f"The prompt has about {request.prompt_tokens} tokens and the longest context of {request.model!r} is {longest}. "
            "Shorten it, or name a model with a longer context."
        )
    raise NoDeployment(f"{request.model!r} has no deployment.")


def _fallbacks(wish: _Wish, chosen: Model) -> tuple[str, ...]:
    names = [model.name for model in (*wish.candidates, *wish.fallbacks)] + list(chosen.fallbacks)
    return tuple(dict.fromkeys(name for name in names if name != chosen.name))


def _explained(seen: list[_Place], chosen: _Place, reason: str) -> tuple[RouteCandidate, ...]:
    return tuple(
        RouteCandidate(
            model=place.model.name,
            deployment=place.deployment.id,
            chosen=place is chosen,
            reason=reason
            if place is chosen
            else place.problem or f"load {place.load:.2f} is not lower than {chosen.load:.2f}",
        )
        for place in seen
    )
