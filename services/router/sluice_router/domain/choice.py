"""The choice of a model and deployment for one request, as a pure function of snapshot, request and load."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from sluice.contracts.routing import (
    Deployment,
    Model,
    Prefer,
    Route,
    RouteCandidate,
    RouteDecision,
    RouteRequest,
    RoutingSnapshot,
    SignalName,
    SignalValue,
)
from sluice.contracts.targets import Targets
from sluice.splitting import assigned
from sluice_router.domain.classify.reading import NO_SIGNS, Reading, Signs
from sluice_router.domain.errors import ModelNotFound, NoDeployment, NothingSuits
from sluice_router.domain.signals.capability import capability
from sluice_router.domain.signals.context import context, tokens_of
from sluice_router.domain.signals.cost import expected_cost, shown_cost
from sluice_router.domain.signals.health import health
from sluice_router.domain.signals.modality import modality
from sluice_router.domain.signals.order import has_images, preferred
from sluice_router.domain.signals.residency import residency
from sluice_router.domain.signals.rules import matched, ruling
from sluice_router.domain.signals.targets import cost as cost_aim
from sluice_router.domain.signals.targets import latency as latency_aim

_RETRY_AFTER_S = "5"
Outcome = Literal["candidate", "fallback", "largest_context", "last_resort"]
OUTCOMES: tuple[Outcome, ...] = ("candidate", "fallback", "largest_context", "last_resort")


@dataclass(frozen=True, slots=True)
class Load:
    """How busy a deployment is: requests running and waiting, out of how many that run at once, and the taken share of its KV cache (None: not known).

    `latency_s` is what nine in ten of its latest requests took at most, in seconds.
    """

    running: int = 0
    waiting: int = 0
    slots: int | None = None
    kv_cache: float | None = None
    latency_s: float | None = None

    def share(self, deployment: Deployment) -> float:
        """Return the load as a share of capacity: slots, or else `max_in_flight`, each times the weight; the KV cache's share where that is higher."""
        capacity = (self.slots or deployment.max_in_flight) * deployment.weight
        return max((self.running + self.waiting) / capacity, self.kv_cache or 0.0)


class Choice(NamedTuple):
    """A decision and how it came about, as values for metrics.

    `against` names for each deployment that could not be taken the first signal that spoke against it; `assigned` is the
    model that a split gave to this caller.
    """

    decision: RouteDecision
    outcome: Outcome
    against: tuple[SignalName, ...] = ()
    assigned: str | None = None


class _Place(NamedTuple):
    group: int
    model: Model
    deployment: Deployment
    load: float
    cost: float
    prefer: Prefer
    signals: tuple[SignalValue, ...]
    aims: tuple[SignalValue, ...]

    @property
    def refusal(self) -> SignalValue | None:
        return next((signal for signal in self.signals if signal.against), None)

    @property
    def miss(self) -> SignalValue | None:
        return next((signal for signal in self.aims if signal.against), None)

    @property
    def suits(self) -> bool:
        return not any(signal.against for signal in self.signals[:_ABSOLUTE])

    @property
    def fits(self) -> bool:
        return not any(signal.against and signal.signal == "context" for signal in self.signals)

    @property
    def is_down(self) -> bool:
        return self.deployment.health == "down"

    @property
    def usable(self) -> bool:
        return self.refusal is None

    def order(self) -> tuple[bool, bool, float, float]:
        # What was seen up comes before what was not probed yet; then the lower price, unless all its places are taken,
        # when the route prefers it; then the lower load; then the order of the file.
        cheap = self.prefer == "cheapest"
        return self.deployment.health != "up", cheap and self.load >= 1, self.cost if cheap else 0.0, self.load


# The first three signals of a place are absolute: residency, modality, capability.
_ABSOLUTE = 3


class _Wish(NamedTuple):
    # What the request's model name stands for: groups of models, each looked at when the one before has nothing.
    groups: tuple[tuple[Model, ...], ...]
    route: str | None = None
    policy: str | None = None
    refuse_when_down: bool = False
    prefer: Prefer = "least_loaded"
    assigned: str | None = None
    ruled: str | None = None
    preference: str | None = None
    targets: Targets | None = None


class _Pick(NamedTuple):
    place: _Place
    outcome: Outcome
    reason: str


def decide(
    snapshot: RoutingSnapshot, request: RouteRequest, loads: Mapping[str, Load], signs: Signs = NO_SIGNS
) -> Choice:
    """Return which model and deployment answers, why, and what to try next.

    Among the healthy deployments of all candidate models whose context holds the prompt, the one with the lowest load
    is taken, or the cheapest with a free place when the route prefers that; equal ones fall to the order of the file.
    In a split the caller's model comes first, then the other candidates. When none is left, the fallback models are looked at in
    order (F276). A rule of the route that fits puts its models before all of these; without a recognised intent,
    and when they cannot answer, the candidates do (F275). What is known to miss the route's targets comes after all that is not. With `quality`, `by_domain` and `by_modality` the candidates come in that order. `prompt_tokens` is an estimate, so that a prompt which seems to fit nowhere goes to the longest healthy
    context, where it is counted exactly. When everything is down, the first deployment that fits is named as a last
    resort (it may have come back since the last probe), unless the route says `refuse`.

    Raises:
        ModelNotFound: neither a route nor a model has this name.
        NoDeployment: every deployment is down, and the route refuses then.
        NothingSuits: no deployment may or can take such a request.
    """
    request = request.model_copy(update={"model": named(snapshot, request.model)})
    wish = _wish(snapshot, request, signs)
    language = None if signs.language is None else signs.language.recognised
    wish = wish._replace(groups=_once(wish.groups))
    looked_at = [list(_places(number, wish, request, loads, language)) for number in range(len(wish.groups))]
    groups = [[place for place in places if place.suits] for places in looked_at]
    seen = [place for places in groups for place in places]
    everything = [place for places in looked_at for place in places]
    if everything and not seen:
        raise NothingSuits(_unsuitable(request, everything))
    pick = _usable(groups, wish) or _longest_context(seen, request) or _last_resort(seen, request, wish)
    decision = RouteDecision(
        model=pick.place.model.name,
        instance=pick.place.deployment.id,
        intent=signs.intent.recognised if signs.intent is not None else None,
        confidence=signs.intent.confidence if signs.intent is not None else None,
        route=wish.route,
        reason=pick.reason,
        fallbacks=_next(groups, pick.place.model, snapshot, request),
        policy=wish.policy or pick.place.model.policy,
        snapshot_version=snapshot.version,
        candidates=_explained(everything, pick) if request.explain else None,
        signals=tuple(_of_request(request, signs)) if request.explain else None,
    )
    refusals = (place.refusal or place.miss for place in everything if place is not pick.place)
    return Choice(decision, pick.outcome, tuple(found.signal for found in refusals if found), wish.assigned)


def named(snapshot: RoutingSnapshot, name: str) -> str:
    """Return the model or route that an alias stands for; every other name stands for itself."""
    return next((alias.model for alias in snapshot.aliases if alias.name == name), name)


def _of_request(request: RouteRequest, signs: Signs) -> Iterator[SignalValue]:
    readings: tuple[tuple[SignalName, Reading | None], ...] = (
        ("intent", signs.intent),
        ("domain", signs.domain),
        ("language", signs.language),
    )
    for signal, reading in readings:
        if reading is not None:
            yield SignalValue(signal=signal, value=reading.said, against=reading.recognised is None)
    if signs.difficulty is not None:
        broken = signs.difficulty.strong is None
        yield SignalValue(signal="difficulty", value=signs.difficulty.said, against=broken)
    if signs.asks_for is not None:
        yield SignalValue(signal="asks_for", value=f"the question asks for {signs.asks_for}")
    yield SignalValue(signal="length", value=f"about {request.prompt_tokens} tokens")


def _wish(snapshot: RoutingSnapshot, request: RouteRequest, signs: Signs) -> _Wish:
    name = request.model
    models = {model.name: model for model in snapshot.models}
    for route in snapshot.routes:
        if route.name == name:
            weights = ((share.model, share.weight) for share in route.split)
            mine = assigned(route.name, weights, request.subject)
            first = _candidates(models, route, mine, signs)
            fallbacks = ((model,) for model in _named(models, route.fallbacks))
            refuse = route.when_all_down == "refuse"
            rule = ruling(route, request, signs)
            ruled = tuple(_named(models, rule.use)) if rule is not None else ()
            groups = (*((ruled,) if ruled else ()), *first, *fallbacks)
            why = matched(rule, request, signs) if rule is not None and ruled else None
            preference = _preference(route, models, signs)
            return _Wish(groups, route.name, route.policy, refuse, route.prefer, mine, why, preference, route.targets)
    model = models.get(name)
    if model is None:
        raise ModelNotFound(f"There is no model or route named {name[:100]!r}. GET /v1/models lists the models.")
    return _Wish(((model,), *((other,) for other in _named(models, model.fallbacks))))


def _once(groups: tuple[tuple[Model, ...], ...]) -> tuple[tuple[Model, ...], ...]:
    # A model that a rule names, or a fallback that is a candidate too, is looked at where it comes first.
    seen: set[str] = set()
    found = []
    for group in groups:
        found.append(tuple(model for model in group if model.name not in seen))
        seen.update(model.name for model in group)
    return tuple(found)


def _candidates(
    models: Mapping[str, Model], route: Route, mine: str | None, signs: Signs
) -> Iterator[tuple[Model, ...]]:
    if mine is not None and mine in models:
        yield (models[mine],)
    others = tuple(_named(models, (name for name in route.candidates if name != mine)))
    if others or mine not in models:
        yield from preferred(route, others, signs)


def _preference(route: Route, models: Mapping[str, Model], signs: Signs) -> str | None:
    # What put the first candidates first, for the reason.
    candidates = tuple(_named(models, route.candidates))
    if route.quality is not None and signs.difficulty is not None and signs.difficulty.strong is not None:
        return signs.difficulty.said
    domain = signs.domain.recognised if route.by_domain and signs.domain is not None else None
    if domain is not None and any(domain in model.domains for model in candidates):
        return f"models for {domain} come first"
    if route.by_modality and signs.asks_for == "image" and any(has_images(model) for model in candidates):
        return "the question asks for a picture, so models with images come first"
    return None


def _named(models: Mapping[str, Model], names: Iterable[str]) -> Iterator[Model]:
    return (models[name] for name in names if name in models)


def _places(
    group: int, wish: _Wish, request: RouteRequest, loads: Mapping[str, Load], language: str | None
) -> Iterator[_Place]:
    for model in wish.groups[group]:
        cost = expected_cost(model, tokens_of(model, request.prompt_tokens, language))
        for deployment in model.deployments:
            load = loads.get(deployment.id, Load())
            signals = _signals(model, deployment, request, language)
            aims = (cost_aim(wish.targets, cost), latency_aim(wish.targets, load.latency_s))
            yield _Place(group, model, deployment, load.share(deployment), cost, wish.prefer, signals, aims)


def _signals(
    model: Model, deployment: Deployment, request: RouteRequest, language: str | None = None
) -> tuple[SignalValue, ...]:
    return (
        residency(deployment, request),
        modality(model, request),
        capability(model, request),
        health(deployment),
        context(model, request, language),
    )


def _unsuitable(request: RouteRequest, places: list[_Place]) -> str:
    reasons = {f"{place.model.name}: {place.refusal.value}": None for place in places if place.refusal}
    return f"No model of {request.model!r} may or can take this request ({'; '.join(reasons)})."


def _usable(groups: list[list[_Place]], wish: _Wish) -> _Pick | None:
    within = [[place for place in places if place.miss is None] for places in groups]
    found = _first(within, wish)
    if found is None and wish.targets is not None and (found := _first(groups, wish)) is not None:
        return found._replace(reason=f"{found.reason}; nothing that can answer keeps to the route's targets")
    if found is not None and any(place.usable for places in groups[: found.place.group] for place in places):
        return found._replace(reason=f"targets: no deployment before {found.place.model.name} keeps to them")
    return found


def _first(groups: list[list[_Place]], wish: _Wish) -> _Pick | None:
    for places in groups:
        usable = [place for place in places if place.usable]
        if usable:
            best = min(usable, key=_Place.order)
            if wish.ruled and not best.group:
                return _Pick(best, "candidate", f"rule: {best.model.name} answers {wish.ruled}")
            if best.model.name == wish.assigned:
                return _Pick(best, "candidate", f"split: {best.model.name} is assigned to this caller")
            if best.group:
                return _Pick(best, "fallback", f"fallback: no deployment before {best.model.name} can answer")
            said = _among(usable, len(places), best, wish)
            return _Pick(best, "candidate", f"{wish.preference}; {said}" if wish.preference else said)
    return None


def _among(usable: list[_Place], places: int, best: _Place, wish: _Wish) -> str:
    if places == 1:
        return "the only candidate"
    if wish.prefer == "cheapest":
        return f"cheapest of {len(usable)} ({shown_cost(best.cost)}, load {best.load:.2f})"
    return f"least loaded of {len(usable)} ({best.load:.2f})"


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


def _next(
    groups: list[list[_Place]], chosen: Model, snapshot: RoutingSnapshot, request: RouteRequest
) -> tuple[str, ...]:
    # What can answer now comes first; the rest stays in the list, because it may be back by then.
    first, *later = groups
    others = [*sorted(first, key=_Place.order), *(place for places in later for place in places)]
    others.sort(key=lambda place: (not place.usable, place.miss is not None))
    known = {model.name for model in snapshot.models if _can_take(model, request)}
    names = [*(place.model.name for place in others), *(name for name in chosen.fallbacks if name in known)]
    return tuple(dict.fromkeys(name for name in names if name != chosen.name))


def _can_take(model: Model, request: RouteRequest) -> bool:
    signals = (_signals(model, deployment, request)[:_ABSOLUTE] for deployment in model.deployments)
    return any(not any(signal.against for signal in values) for values in signals)


def _explained(seen: list[_Place], pick: _Pick) -> tuple[RouteCandidate, ...]:
    return tuple(
        RouteCandidate(
            model=place.model.name,
            deployment=place.deployment.id,
            chosen=place is pick.place,
            reason=pick.reason if place is pick.place else _why_not(place, pick),
            signals=(
                *place.signals,
                SignalValue(signal="load", value=f"{place.load:.2f} of its capacity"),
                *place.aims,
            ),
        )
        for place in seen
    )


def _why_not(place: _Place, pick: _Pick) -> str:
    if place.refusal is not None:
        return place.refusal.value
    if place.miss is not None and pick.place.miss is None:
        return place.miss.value
    if place.group > pick.place.group:
        return "an earlier choice can answer"
    if place.deployment.health == "unknown" and pick.place.deployment.health == "up":
        return "it was not probed yet"
    if place.prefer == "cheapest" and place.cost > pick.place.cost:
        return f"it costs more ({shown_cost(place.cost)})"
    if place.load == pick.place.load:
        return f"as loaded ({place.load:.2f}), and named later"
    return f"its load of {place.load:.2f} is not lower than {pick.place.load:.2f}"
