"""The registry: what was made through the API, beside what models.yaml declares, and how the two make one configuration.

models.yaml comes first. It is complete by itself, and the API changes nothing of it. An object of the API that does not fit what
the file says (its name is taken there, a model that it names is gone) is held back: it stays in the database, is not in force, and
says why.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError

from sluice.contracts.registry import HeldBack, RegistryChange, RegistryKind, RegistryVersion
from sluice.sentences import faults
from sluice_router.domain.config import AliasConfig, ModelConfig, ModelsFile, PolicyConfig, RouteConfig
from sluice_router.domain.references import Misfit, Section, misfits

Spec = ModelConfig | RouteConfig | PolicyConfig | AliasConfig
SHAPES: Mapping[RegistryKind, type[Spec]] = {
    "model": ModelConfig,
    "route": RouteConfig,
    "policy": PolicyConfig,
    "alias": AliasConfig,
}
_KINDS: Mapping[Section, RegistryKind] = {
    "models": "model",
    "routes": "route",
    "policies": "policy",
    "aliases": "alias",
}
_CALLABLE: tuple[RegistryKind, ...] = ("model", "route", "alias")  # these share one space of names


class Ref(NamedTuple):
    """Which object."""

    kind: RegistryKind
    name: str


@dataclass(frozen=True, slots=True)
class Entry:
    """An object that was made through the API; `spec` is what was said of it, `version` the registry's when it last changed."""

    kind: RegistryKind
    name: str
    spec: dict[str, Any]
    version: int
    created_at: float
    updated_at: float
    updated_by: str

    @property
    def ref(self) -> Ref:
        """Which object it is."""
        return Ref(self.kind, self.name)


class State(NamedTuple):
    """The registry at a version."""

    version: int
    entries: tuple[Entry, ...]

    def find(self, ref: Ref) -> Entry | None:
        """Return an object, None when there is none."""
        return next((entry for entry in self.entries if entry.ref == ref), None)


EMPTY = State(0, ())


class Problem(NamedTuple):
    """What is wrong with an object: the field (with dots, empty for the whole object) and a sentence."""

    field: str
    said: str

    @property
    def sentence(self) -> str:
        """One sentence with the field."""
        return f"{self.field} {self.said}" if self.field else self.said


@dataclass(frozen=True, slots=True)
class Merged:
    """The configuration in force, and the problems of every object of the API that is held back."""

    config: ModelsFile
    held: Mapping[Ref, tuple[Problem, ...]]

    def held_back(self) -> tuple[HeldBack, ...]:
        """Return what is held back, with the reasons in words."""
        return tuple(
            HeldBack(kind=ref.kind, name=ref.name, problem="; ".join(problem.sentence for problem in problems))
            for ref, problems in self.held.items()
        )


def merge(file: ModelsFile, entries: Sequence[Entry]) -> Merged:
    """Return what the file and the API's objects make together."""
    held: dict[Ref, tuple[Problem, ...]] = {}
    specs: dict[Ref, Spec] = {}
    for entry in entries:
        try:
            specs[entry.ref] = SHAPES[entry.kind].model_validate(entry.spec)
        except ValidationError as exc:  # it was made by another version of the router
            told = faults(exc.errors())
            held[entry.ref] = tuple(Problem("", fault.sentence) for fault in told)
    while True:
        whole, places = _together(file, specs)
        found: dict[Ref, list[Problem]] = {}
        for misfit in misfits(whole):
            ref = places.get((misfit.section, misfit.at))
            if ref is not None:
                found.setdefault(ref, []).append(_problem(misfit))
        if not found:
            return Merged(whole, held)
        for ref, problems in found.items():
            held[ref] = tuple(problems)
            del specs[ref]


def declared(file: ModelsFile, ref: Ref) -> Spec | None:
    """Return what the file declares under a name, for a model, route or alias also what another of these kinds has it."""
    for kind in _CALLABLE if ref.kind in _CALLABLE else (ref.kind,):
        for spec in of_kind(file, kind):
            if spec.name == ref.name:
                return spec
    return None


def of_kind(config: ModelsFile, kind: RegistryKind) -> Sequence[Spec]:
    """Return the objects of one kind."""
    sections: Mapping[RegistryKind, Sequence[Spec]] = {
        "model": config.models,
        "route": config.routes,
        "policy": config.policies,
        "alias": config.aliases,
    }
    return sections[kind]


def kind_of(spec: BaseModel) -> RegistryKind:
    """Return the kind of an object."""
    return next(kind for kind, shape in SHAPES.items() if isinstance(spec, shape))


def taken(state: State, ref: Ref) -> Ref | None:
    """Return the object of the API that has a name already."""
    kinds = _CALLABLE if ref.kind in _CALLABLE else (ref.kind,)
    return next((e.ref for e in state.entries if e.name == ref.name and e.kind in kinds), None)


def kept(spec: BaseModel) -> dict[str, Any]:
    """Return what is stored of an object: what was said of it, without defaults."""
    return spec.model_dump(mode="json", by_alias=True, exclude_unset=True)


def at_version(now: State, later: Sequence[RegistryVersion]) -> dict[Ref, dict[str, Any]]:
    """Return the specs of all objects as they were before the `later` versions, which come newest first."""
    specs = {entry.ref: entry.spec for entry in now.entries}
    for version in later:
        for change in version.changes:
            ref = Ref(change.kind, change.name)
            specs.pop(ref, None)
            if change.before is not None:
                specs[ref] = change.before
    return specs


def differences(now: State, wanted: Mapping[Ref, dict[str, Any]]) -> tuple[RegistryChange, ...]:
    """Return the changes that make the wanted objects of those that are there."""
    current = {entry.ref: entry.spec for entry in now.entries}
    return tuple(
        RegistryChange(kind=ref.kind, name=ref.name, before=current.get(ref), after=wanted.get(ref))
        for ref in dict.fromkeys((*current, *wanted))
        if current.get(ref) != wanted.get(ref)
    )


def applied(state: State, changes: Sequence[RegistryChange], version: int, at: float, actor: str) -> State:
    """Return the registry after changes; `version` is the new one."""
    entries = {entry.ref: entry for entry in state.entries}
    for change in changes:
        ref = Ref(change.kind, change.name)
        if change.after is None:
            entries.pop(ref, None)
            continue
        before = entries.get(ref)
        made = before.created_at if before is not None else at
        entries[ref] = Entry(*ref, change.after, version, made, at, actor)
    return State(version, tuple(entries.values()))


def _together(file: ModelsFile, specs: Mapping[Ref, Spec]) -> tuple[ModelsFile, dict[tuple[Section, int], Ref]]:
    places: dict[tuple[Section, int], Ref] = {}
    sections: dict[str, Any] = {}
    for section, kind in _KINDS.items():
        mine = list(of_kind(file, kind))
        for ref, spec in specs.items():
            if ref.kind == kind:
                places[section, len(mine)] = ref
                mine.append(spec)
        sections[section] = tuple(mine)
    # Its parts are checked; whether they fit each other is what the caller is about to see.
    return ModelsFile.model_construct(**sections), places


def _problem(misfit: Misfit) -> Problem:
    field = "" if misfit.field in ("kind", "") else misfit.field
    return Problem(field, misfit.said.replace(" in this file", ""))


def ordered(entries: Sequence[Entry]) -> Iterator[Entry]:
    """Return the objects by kind and name."""
    return iter(sorted(entries, key=lambda entry: entry.ref))
