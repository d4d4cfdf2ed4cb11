"""Rules: the first one of a route whose conditions all hold names the models that come first."""

from collections.abc import Iterator

from sluice.contracts.routing import Route, RouteRequest, Rule
from sluice_router.domain.classify.reading import Reading, Signs


def ruling(route: Route, request: RouteRequest, signs: Signs) -> Rule | None:
    """Return the first rule that fits; what was not recognised fits no condition."""
    return next((rule for rule in route.rules if _fits(rule, request, signs)), None)


def matched(rule: Rule, request: RouteRequest, signs: Signs) -> str:
    """Return what of a request a rule went by, in words."""
    return ", ".join(_matched(rule, request, signs))


def _fits(rule: Rule, request: RouteRequest, signs: Signs) -> bool:
    return (
        _is_one_of(rule.intents, signs.intent)
        and _is_one_of(rule.domains, signs.domain)
        and _is_one_of(rule.languages, signs.language)
        and (not rule.modalities or any(one in request.modalities for one in rule.modalities))
        and (not rule.asks_for or signs.asks_for in rule.asks_for)
        and (rule.longer_than is None or request.prompt_tokens > rule.longer_than)
    )


def _is_one_of(wanted: tuple[str, ...], reading: Reading | None) -> bool:
    return not wanted or (reading is not None and reading.recognised in wanted)


def _matched(rule: Rule, request: RouteRequest, signs: Signs) -> Iterator[str]:
    read = ((rule.intents, signs.intent), (rule.domains, signs.domain), (rule.languages, signs.language))
    yield from (reading.recognised or "" for wanted, reading in read if wanted and reading is not None)
    yield from (one for one in rule.modalities if one in request.modalities)
    if rule.asks_for:
        yield f"a question for {signs.asks_for}"
    if rule.longer_than is not None:
        yield f"more than {rule.longer_than} tokens"
