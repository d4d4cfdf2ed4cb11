"""The choice of a model and deployment for one request, as a pure function of snapshot, request and load."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from sluice.contracts.routing import Deployment, Model, RouteCandidate, RouteDecision, RouteRequest, RoutingSnapshot
from sluice_router.domain.errors import ModelNotFound, NoDeployment

_RETRY_AFTER_S = "5"
Outcome = Literal["candidate", "fallback", "largest_context", "last_resort"]
OUTCOMES: tuple[Outcome, ...] = ("candidate", "fallback", "largest_context", "last_resort")


@dataclass(frozen=True, slots=True)
class Load:
    """How busy a deployment is: requests running and waiting, out of how many that run at once (None: not known)."""

    running: int = 0
    waiting: int = 0
    slots: int | None = None

    def share(self, deployment: Deployment) -> float:
        """Return the load as a share of capacity: slots, or else `max_in_flight`, each times the weight."""
        capacity = (self.slots or deployment.max_in_flight) * deployment.weight
        return (self.running + self.waiting) / capacity


class Choice(NamedTuple):
    """A decision and how it came about, as a value for metrics."""

    decision: RouteDecision
    outcome: Outcome


class _Place(NamedTuple):
    group: int
    model: Model
    deployment: Deployment
    load: float
    fits: bool

    @property
    def is_down(self) -> bool:
        return self.deployment.health == "down"

    @property
    def usable(self) -> bool:
        return self.fits and not self.is_down

    def order(self) -> tuple[bool, float]:
        # What was seen up comes before what was not probed yet, then the lower load; then the order of the file.
        return self.deployment.health != "up", self.load


class _Wish(NamedTuple):
    # What the request's model name stands for: groups of models, each looked at when the one before has nothing.
    groups: tuple[tuple[Model, ...], ...]
    route: str | None = None
    policy: str | None = None
    refuse_when_down: bool = False


class _Pick(NamedTuple):
    place: _Place
    outcome: Outcome
    reason: str


def decide(snapshot: RoutingSnapshot, request: RouteRequest, loads: Mapping[str, Load]) -> Choice:
    """Return which model and deployment answers, why, and what to try next.

    Among the healthy deployments of all candidate models whose context holds the prompt, the one with the lowest load
    is taken; equal loads fall to the order of the file. When none is left, the fallback models are looked at in
    order (F276). `prompt_tokens` is an estimate, so that a prompt which seems to fit nowhere goes to the longest healthy
    context, where it is counted exactly. When everything is down, the first deployment that fits is named as a last
    resort (it may have come back since the last probe), unless the route says `refuse`.

    Raises:
        ModelNotFound: neither a route nor a model has this name.
        NoDeployment: every deployment is down, and the route refuses then.
    """
    wish = _wish(snapshot, request.model)
    groups = [list(_places(number, models, request, loads)) for number, models in enumerate(wish.groups)]
    seen = [place for places in groups for place in places]
    pick = _usable(groups) or _longest_context(seen, request) or _last_resort(seen, request, wish)
    decision = RouteDecision(
        model=pick.place.model.name,
        instance=pick.place.deployment.id,
        route=wish.route,
        reason=pick.reason,
        fallbacks=_next(groups, pick.place.model, snapshot),
        policy=wish.policy or pick.place.model.policy,
        snapshot_version=snapshot.version,
        candidates=_explained(seen, pick, request) if request.explain else None,
    )
    return Choice(decision, pick.outcome)


def _wish(snapshot: RoutingSnapshot, name: str) -> _Wish:
    models = {model.name: model for model in snapshot.models}
    for route in snapshot.routes:
        if route.name == name:
            fallbacks = ((model,) for model in _named(models, route.fallbacks))
            groups = (tuple(_named(models, route.candidates)), *fallbacks)
            return _Wish(groups, route.name, route.policy, route.when_all_down == "refuse")
    model = models.get(name)
    if model is None:
        raise ModelNotFound(f"There is no model or route named {name[:100]!r}. GET /v1/models lists the models.")
    return _Wish(((model,), *((other,) for other in _named(models, model.fallbacks))))


def _named(models: Mapping[str, Model], names: Iterable[str]) -> Iterator[Model]:
    return (models[name] for name in names if name in models)


def _places(group: int, models: Iterable[Model], request: RouteRequest, loads: Mapping[str, Load]) -> Iterator[_Place]:
    for model in models:
        for deployment in model.deployments:
            load = loads.get(deployment.id, Load()).share(deployment)
            yield _Place(group, model, deployment, load, request.prompt_tokens < model.context_tokens)


def _usable(groups: list[list[_Place]]) -> _Pick | None:
    for places in groups:
        usable = [place for place in places if place.usable]
        if usable:
            best = min(usable, key=_Place.order)
            if best.group:
                return _Pick(best, "fallback", f"fallback: no deployment before {best.model.name} can answer")
            if len(places) == 1:
                return _Pick(best, "candidate", "the only candidate")
            return _Pick(best, "candidate", f"least loaded of {len(usable)} ({best.load:.2f})")
    return None


def _longest_context(seen: list[_Place], request: RouteRequest) -> _Pick | None:
    healthy = [place for place in seen if not place.is_down]
    if not healthy:
        return None
    best = min(healthy, key=lambda place: (-place.model.context_tokens, *place.order()))
    return _Pick(
        best,
        "largest_context",
        f"longest context ({best.model.context_tokens}): the prompt of about {request.prompt_tokens} tokens fits no healthy model",
    )


def _last_resort(seen: list[_Place], request: RouteRequest, wish: _Wish) -> _Pick:
    if not seen or wish.refuse_when_down:
        names = ", ".join(dict.fromkeys(place.model.name for place in seen))
        raise NoDeployment(
            f"No deployment that could answer {request.model!r} is healthy (models: {names or 'none'}). "
            f"Try again in {_RETRY_AFTER_S} s.",
            headers={"Retry-After": _RETRY_AFTER_S},
        )
    first = next((place for place in seen if place.fits), seen[0])
    return _Pick(first, "last_resort", "last resort: every deployment that could answer is down")


def _next(groups: list[list[_Place]], chosen: Model, snapshot: RoutingSnapshot) -> tuple[str, ...]:
    # What can answer now comes first; the rest stays in the list, because it may be back by then.
    first, *later = groups
    others = [*sorted(first, key=_Place.order), *(place for places in later for place in places)]
    others.sort(key=lambda place: not place.usable)
    known = {model.name for model in snapshot.models}
    names = [*(place.model.name for place in others), *(name for name in chosen.fallbacks if name in known)]
    return tuple(dict.fromkeys(name for name in names if name != chosen.name))


def _explained(seen: list[_Place], pick: _Pick, request: RouteRequest) -> tuple[RouteCandidate, ...]:
    return tuple(
        RouteCandidate(
            model=place.model.name,
            deployment=place.deployment.id,
            chosen=place is pick.place,
            reason=pick.reason if place is pick.place else _why_not(place, pick, request),
        )
        for place in seen
    )


def _why_not(place: _Place, pick: _Pick, request: RouteRequest) -> str:
    if place.is_down:
        return f"it is down ({place.deployment.health_reason or 'no reason known'})"
    if not place.fits:
        return f"its context of {place.model.context_tokens} does not hold the prompt of about {request.prompt_tokens} tokens"
    if place.group > pick.place.group:
        return "an earlier choice can answer"
    if place.deployment.health == "unknown" and pick.place.deployment.health == "up":
        return "it was not probed yet"
    return f"its load of {place.load:.2f} is not lower than {pick.place.load:.2f}"
