"""Whether the parts of a configuration fit each other: each name is given once, and every reference leads somewhere."""

from collections.abc import Container, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from sluice_router.domain.config import AliasConfig, ModelConfig, ModelsFile, PolicyConfig, RouteConfig

Section = Literal["models", "routes", "policies", "aliases"]
STAR = "*"  # in the name of a model: stands for what a provider lists


class Misfit(NamedTuple):
    """What does not fit: the entry (its section, place there and name), the field, and a sentence that follows the field.

    A name that is given twice has no field; its sentence says it all.
    """

    section: Section
    at: int
    name: str
    field: str
    said: str

    def __str__(self) -> str:
        """Return the sentence with its place in a file."""
        if not self.field:
            return f"{self.section}[{self.at}]: {self.said}"
        dot = f".{self.field}" if self.field != "kind" else ""
        return f"{self.section}[{self.at}] ({self.name}){dot} {self.said}"


def captured(pattern: str, text: str) -> str | None:
    """Return what the star of a pattern stands for in a text, None when the text is not of that form."""
    before, _, after = pattern.partition(STAR)
    between = text[len(before) : len(text) - len(after)]
    return between if between and text == f"{before}{between}{after}" else None


class Named(Container[str]):
    """The names of models: those that are written down, and all that the ones with a star may come to mean."""

    def __init__(self, models: "Iterable[ModelConfig]") -> None:
        self.kinds = {model.name: model.kind for model in models}
        self._stars = sorted((name for name in self.kinds if STAR in name), key=lambda name: -len(name))

    def __contains__(self, name: object) -> bool:
        """Tell whether there is such a model, or may be."""
        return isinstance(name, str) and self.kind(name) is not None

    def kind(self, name: str) -> str | None:
        """Return the kind of a model, None when there is none and will be none."""
        if STAR in name:
            return None  # it is nothing that could answer
        if name in self.kinds:
            return self.kinds[name]
        return next((self.kinds[star] for star in self._stars if captured(star, name) is not None), None)


def misfits(whole: "ModelsFile") -> Iterator[Misfit]:
    """Return everything that does not fit."""
    yield from _twice(whole)
    kinds = Named(whole.models)
    policies = [policy.name for policy in whole.policies]
    for at, model in enumerate(whole.models):
        yield from _of_model(at, model, kinds, policies)
    for at, route in enumerate(whole.routes):
        yield from _of_route(at, route, kinds, policies)
    routes = [route.name for route in whole.routes]
    for at, alias in enumerate(whole.aliases):
        if alias.model not in routes:
            yield from _unknown(("aliases", at, alias.name, "model"), (alias.model,), kinds, [*kinds.kinds, *routes])


_Place = tuple[Section, int, str, str]


def _twice(whole: "ModelsFile") -> Iterator[Misfit]:
    yield from _repeated("model or route", [*_names("models", whole.models), *_names("routes", whole.routes), *_names("aliases", whole.aliases)])  # fmt: skip
    yield from _repeated("policy", _names("policies", whole.policies))
    ids: list[_Place] = [
        ("models", at, model.name, deployment_id)
        for at, model in enumerate(whole.models)
        for deployment_id in model.deployment_ids()
    ]
    yield from _repeated("deployment", ids)


def _names(
    section: Section, entries: "Sequence[ModelConfig | RouteConfig | AliasConfig | PolicyConfig]"
) -> Iterator[_Place]:
    return ((section, at, entry.name, entry.name) for at, entry in enumerate(entries))


def _repeated(what: str, given: Iterable[_Place]) -> Iterator[Misfit]:
    seen: set[str] = set()
    for section, at, name, value in given:
        if value in seen:
            yield Misfit(section, at, name, "", f"{what} named twice: {value}; give each its own name")
        seen.add(value)


def _of_model(at: int, model: "ModelConfig", kinds: Named, policies: Sequence[str]) -> Iterator[Misfit]:
    chains = [("fallbacks", model.fallbacks)]
    chains += [(f"fallbacks_on.{reason}", chain) for reason, chain in model.fallbacks_on.chains()]
    yield from _unknown(
        ("models", at, model.name, "policy"), (model.policy,) if model.policy else (), policies, policies
    )
    for field, chain in chains:
        place: _Place = ("models", at, model.name, field)
        yield from _unknown(place, chain, kinds, kinds.kinds)
        yield from _other_kind(place, chain, kinds, model.kind)
        if model.name in chain:
            yield Misfit(*place, "names the model itself; remove it")


def _of_route(at: int, route: "RouteConfig", kinds: Named, policies: Sequence[str]) -> Iterator[Misfit]:
    kind = kinds.kind(route.candidates[0]) or "chat"
    chains = [("candidates", route.candidates), ("fallbacks", route.fallbacks)]
    yield from _unknown(
        ("routes", at, route.name, "policy"), (route.policy,) if route.policy else (), policies, policies
    )
    for field, chain in chains:
        yield from _unknown(("routes", at, route.name, field), chain, kinds, kinds.kinds)
    yield from _other_kind(("routes", at, route.name, "kind"), (*route.candidates, *route.fallbacks), kinds, kind)
    others = [("rules", rule.use) for rule in route.rules]
    others += [(f"fallbacks_on.{reason}", chain) for reason, chain in route.fallbacks_on.chains()]
    for field, chain in others:
        yield from _unknown(("routes", at, route.name, field), chain, kinds, kinds.kinds)
        yield from _other_kind(("routes", at, route.name, field), chain, kinds, kind)


def _unknown(place: _Place, used: Iterable[str], known: Container[str], shown: Iterable[str]) -> Iterator[Misfit]:
    unknown = sorted(name for name in set(used) if name not in known)
    if unknown:
        defined = ", ".join(shown) or "none"
        yield Misfit(*place, f"names {', '.join(unknown)}, which is not defined in this file (defined: {defined})")


def _other_kind(place: _Place, used: Iterable[str], kinds: Named, kind: str) -> Iterator[Misfit]:
    wrong = sorted({name for name in used if (kinds.kind(name) or kind) != kind})
    if wrong:
        yield Misfit(*place, f"mixes kinds: {', '.join(wrong)} is no {kind} model; name only {kind} models")
