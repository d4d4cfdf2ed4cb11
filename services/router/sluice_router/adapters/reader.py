"""Reads of a request what its route asks for, and nothing else."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from sluice.asked_for import modality_of
from sluice.contracts.routing import Route, RouteRequest, RoutingSnapshot
from sluice_router.adapters.classifiers import ClassifierName, Classifiers
from sluice_router.adapters.languages import Languages
from sluice_router.domain.classify.pace import Pace
from sluice_router.domain.classify.reading import NO_SIGNS, UNTRAINED, Difficulty, Signs

_LEAST_LANGUAGE = 0.8


@dataclass(slots=True)
class Reader:
    """Asks classifiers on behalf of routes, and keeps the pace of those that give a share to stronger models.

    `noted` hears of each reading: the signal and its outcome. Each router process keeps its own pace, so the share holds for each.
    """

    classifiers: Classifiers
    languages: Languages
    noted: Callable[[str, str], None]
    _paces: dict[str, tuple[int, Pace]] = field(default_factory=dict)

    async def read(self, snapshot: RoutingSnapshot, request: RouteRequest, tenant: str) -> Signs:
        """Return what the route of a request needs to know of it; a request for a model needs nothing."""
        route = next((one for one in snapshot.routes if one.name == request.model), None)
        if route is None:
            return NO_SIGNS
        wanted = wanted_of(route)
        language = None
        if any(rule.languages for rule in route.rules) or _scaled(snapshot, route):
            language = await self.languages.read(request.text, _LEAST_LANGUAGE)
        asks_for = modality_of(request.text) if _asks_what(route) else None
        if not wanted and language is None:
            return NO_SIGNS._replace(asks_for=asks_for)
        found = await self.classifiers.read(wanted, request.text, tenant)
        difficulty = self._difficulty(route, found.gain, request) if "difficulty" in wanted else None
        signs = Signs(found.classes.get("intent"), found.classes.get("domain"), language, difficulty)
        for signal, sign in signs._asdict().items():
            if sign is not None:
                self.noted(signal, sign.outcome)
        return signs._replace(asks_for=asks_for)

    def _difficulty(self, route: Route, gain: float | None, request: RouteRequest) -> Difficulty:
        head = self.classifiers.gain_head
        if head is None:
            return Difficulty(why=UNTRAINED.why)
        if gain is None or route.quality is None:
            return Difficulty()
        known = self._paces.get(route.name)
        if known is None or known[0] != id(head) or known[1].share != route.quality.share:
            known = self._paces[route.name] = (
                id(head),
                Pace(route.quality.share, [float(one) for one in head.expected]),
            )
        pace = known[1]
        # Whoever asks for an explanation looks on; he must not move the threshold for the others.
        return Difficulty(gain, gain >= pace.threshold() if request.explain else pace.takes(gain))


def _asks_what(route: Route) -> bool:
    return route.by_modality or any(rule.asks_for for rule in route.rules)


def _scaled(snapshot: RoutingSnapshot, route: Route) -> bool:
    # Whether the length of a prompt depends on its language for one of the models that may answer.
    named = {*route.candidates, *route.fallbacks, *(name for rule in route.rules for name in rule.use)}
    return any(model.token_scale for model in snapshot.models if model.name in named)


def wanted_of(route: Route) -> Collection[ClassifierName]:
    """Return the classifiers that a route asks."""
    wanted: list[ClassifierName] = []
    if any(rule.intents for rule in route.rules):
        wanted.append("intent")
    if route.by_domain or any(rule.domains for rule in route.rules):
        wanted.append("domain")
    if route.quality is not None:
        wanted.append("difficulty")
    return wanted
