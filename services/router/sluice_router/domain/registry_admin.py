"""Making, changing and deleting objects of the registry, and bringing an earlier version of it back."""

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from pydantic import BaseModel

from sluice.contracts.registry import RegistryAction, RegistryChange, RegistryVersion
from sluice_router.domain.config import ModelConfig, ModelsFile
from sluice_router.domain.errors import (
    DeclaredInFile,
    EntryNotFound,
    NameTaken,
    PreconditionFailed,
    RegistryInvalid,
    StillInUse,
    VersionNotFound,
)
from sluice_router.domain.registry import (
    SHAPES,
    Entry,
    Merged,
    Problem,
    Ref,
    State,
    applied,
    at_version,
    declared,
    differences,
    kept,
    kind_of,
    merge,
    taken,
)

ANY = "*"


class Trail(NamedTuple):
    """Who changes something, in which request, and when (unix seconds)."""

    actor: str
    request_id: str
    at: float


class Creation(NamedTuple):
    """A creation that may be repeated for 24 hours: digests of its Idempotency-Key and of what it asks for."""

    digest: str
    request_digest: str


class Repeated(NamedTuple):
    """An earlier creation with the same Idempotency-Key: what it asked for, and what it made."""

    request_digest: str
    ref: Ref


class Decided(NamedTuple):
    """What to write: nothing when `changes` is empty."""

    action: RegistryAction
    changes: tuple[RegistryChange, ...]


class Outcome(NamedTuple):
    """The registry after a change; `replayed` names what an earlier creation with the same Idempotency-Key made."""

    state: State
    replayed: Ref | None = None


class Done(NamedTuple):
    """An object after a change; `made` says that it is new, `replayed` that an earlier creation is answered again."""

    entry: Entry
    made: bool
    replayed: bool = False


Decide = Callable[[State, Sequence[RegistryVersion]], Decided]


class Repository(Protocol):
    """Where the registry is stored.

    Degraded mode: while the database is away every method raises DependencyUnavailable; what is in force stays.
    """

    async def load(self) -> State:
        """Return the registry in force."""
        ...

    async def change(
        self, decide: Decide, trail: Trail, *, creation: Creation | None = None, since: int | None = None
    ) -> Outcome:
        """Lock the registry, let `decide` look at it, and write what it says as the next version.

        `since` also hands it the versions after that one, newest first.
        """
        ...


class Look(Protocol):
    """Looks at where an object leads, before it is written."""

    async def problems(self, spec: BaseModel, config: ModelsFile) -> tuple[Problem, ...]:
        """Return what an object of the API may not say: addresses inside, secrets of the platform's own."""
        ...


@dataclass(frozen=True, slots=True)
class Condition:
    """What has to hold of the object as it is: `match` names the version that it must have (`*`: any), `absent` that there is none."""

    match: frozenset[str] | None = None
    absent: bool = False

    def check(self, ref: Ref, entry: Entry | None) -> None:
        """Raise PreconditionFailed when it does not hold."""
        if self.absent and entry is not None:
            raise PreconditionFailed(f"The {ref.kind} {ref.name} exists already (version {entry.version}).")
        if self.match is None:
            return
        if entry is None or (ANY not in self.match and str(entry.version) not in self.match):
            now = f"is at version {entry.version}" if entry else "does not exist"
            raise PreconditionFailed(f"The {ref.kind} {ref.name} {now}; read it again and repeat the change.")


ALWAYS = Condition()


@dataclass(frozen=True, slots=True)
class RegistryAdmin:
    """What the API does with the registry. `file` returns models.yaml as it is in force, `changed` is awaited after a change."""

    repository: Repository
    look: Look
    file: Callable[[], ModelsFile]
    changed: Callable[[State], Awaitable[None]]

    async def create(
        self, spec: BaseModel, trail: Trail, *, idempotency_key: str | None = None, dry_run: bool = False
    ) -> Done:
        """Make an object.

        Raises:
            NameTaken, DeclaredInFile: there is one of that name.
            RegistryInvalid: it leads nowhere, or where it must not.
            IdempotencyKeyReused: the Idempotency-Key was used for another request.
        """
        spec = _with_ids(spec)
        ref = Ref(kind_of(spec), _name(spec))
        await self._look(spec)
        creation = _creation(ref, kept(spec), idempotency_key)

        def decide(state: State, _: Sequence[RegistryVersion]) -> Decided:
            self._is_free(state, ref)
            change = RegistryChange(kind=ref.kind, name=ref.name, after=kept(spec))
            return self._checked("create", state, (change,))

        outcome = await self._change(decide, trail, creation=creation, dry_run=dry_run)
        if outcome.replayed is not None:
            entry = outcome.state.find(outcome.replayed)
            if entry is None:
                raise EntryNotFound(f"What this Idempotency-Key made ({outcome.replayed.name}) has been deleted since.")
            return Done(entry, made=True, replayed=True)
        return Done(_found(outcome.state, ref), made=True)

    async def put(self, spec: BaseModel, trail: Trail, condition: Condition = ALWAYS, *, dry_run: bool = False) -> Done:
        """Replace an object, or make it if there is none."""
        spec = _with_ids(spec)
        ref = Ref(kind_of(spec), _name(spec))
        await self._look(spec)
        made = False

        def decide(state: State, _: Sequence[RegistryVersion]) -> Decided:
            nonlocal made
            before = state.find(ref)
            self._refuse_declared(ref)
            condition.check(ref, before)
            if before is None:
                self._is_free(state, ref)
            made = before is None
            change = RegistryChange(
                kind=ref.kind, name=ref.name, before=before.spec if before else None, after=kept(spec)
            )
            return self._checked("create" if made else "replace", state, (change,))

        outcome = await self._change(decide, trail, dry_run=dry_run)
        return Done(_found(outcome.state, ref), made)

    async def change(
        self,
        ref: Ref,
        edit: Callable[[dict[str, Any]], BaseModel],
        trail: Trail,
        condition: Condition = ALWAYS,
        *,
        dry_run: bool = False,
    ) -> Done:
        """Change an object: `edit` makes the new one of what was said of the old one."""
        state = await self.repository.load()
        self._refuse_declared(ref)
        seen = _found(state, ref)
        condition.check(ref, seen)
        spec = _with_ids(edit(seen.spec))
        await self._look(spec)

        def decide(state: State, _: Sequence[RegistryVersion]) -> Decided:
            before = _found(state, ref)
            condition.check(ref, before)
            if before.version != seen.version:
                raise PreconditionFailed(f"The {ref.kind} {ref.name} was changed at the same time; try again.")
            change = RegistryChange(kind=ref.kind, name=ref.name, before=before.spec, after=kept(spec))
            return self._checked("change", state, (change,))

        outcome = await self._change(decide, trail, dry_run=dry_run)
        return Done(_found(outcome.state, ref), made=False)

    async def delete(self, ref: Ref, trail: Trail, condition: Condition = ALWAYS, *, dry_run: bool = False) -> State:
        """Delete an object.

        Raises:
            StillInUse: another object of the API names it.
        """

        def decide(state: State, _: Sequence[RegistryVersion]) -> Decided:
            if state.find(ref) is None:  # one that is held back because the file has its name may be deleted
                self._refuse_declared(ref)
            before = _found(state, ref)
            condition.check(ref, before)
            change = RegistryChange(kind=ref.kind, name=ref.name, before=before.spec)
            broken = self._broken(state, (change,))
            if broken:
                users = "; ".join(f"{r.kind} {r.name} ({p[0].sentence})" for r, p in broken.items())
                raise StillInUse(f"The {ref.kind} {ref.name} is still in use: {users}. Change that first.")
            return Decided("delete", (change,))

        return (await self._change(decide, trail, dry_run=dry_run)).state

    async def roll_back(self, version: int, trail: Trail, *, dry_run: bool = False) -> State:
        """Bring everything of the API back to how it was at a version, as a new version."""

        def decide(state: State, later: Sequence[RegistryVersion]) -> Decided:
            if version > state.version:
                raise VersionNotFound(f"There is no version {version}; the newest is {state.version}.")
            if len(later) != state.version - version:
                raise VersionNotFound(f"The versions since {version} are not all there any more.")
            return self._checked("rollback", state, differences(state, at_version(state, later)))

        return (await self._change(decide, trail, dry_run=dry_run, since=version)).state

    def merged(self, state: State) -> Merged:
        """Return what the file in force and a state make together."""
        return merge(self.file(), state.entries)

    async def _change(
        self,
        decide: Decide,
        trail: Trail,
        *,
        dry_run: bool,
        creation: Creation | None = None,
        since: int | None = None,
    ) -> Outcome:
        if dry_run:
            return await self._tried(decide, trail, since)
        outcome = await self.repository.change(decide, trail, creation=creation, since=since)
        await self.changed(outcome.state)
        return outcome

    async def _tried(self, decide: Decide, trail: Trail, since: int | None) -> Outcome:
        state = State(0, ())

        def note(now: State, later: Sequence[RegistryVersion]) -> Decided:
            nonlocal state
            decided = decide(now, later)
            state = applied(now, decided.changes, now.version + 1, trail.at, trail.actor)
            return Decided(decided.action, ())

        await self.repository.change(note, trail, since=since)
        return Outcome(state)

    async def _look(self, spec: BaseModel) -> None:
        problems = await self.look.problems(spec, self.file())
        if problems:
            raise RegistryInvalid(problems)

    def _is_free(self, state: State, ref: Ref) -> None:
        self._refuse_declared(ref)
        other = taken(state, ref)
        if other is not None:
            raise NameTaken(f"There is a {other.kind} named {other.name} already.")

    def _refuse_declared(self, ref: Ref) -> None:
        found = declared(self.file(), ref)
        if found is not None:
            raise DeclaredInFile(
                f"{ref.name} is declared in models.yaml, which the API does not change; edit the file, or take another name."
            )

    def _checked(self, action: RegistryAction, state: State, changes: tuple[RegistryChange, ...]) -> Decided:
        broken = self._broken(state, changes)
        if broken:
            mine = {Ref(change.kind, change.name) for change in changes}
            raise RegistryInvalid(
                tuple(
                    problem
                    if ref in mine and len(mine) == 1
                    else Problem("", f"{ref.kind} {ref.name}: {problem.sentence}")
                    for ref, problems in broken.items()
                    for problem in problems
                )
            )
        return Decided(action, changes)

    def _broken(self, state: State, changes: Sequence[RegistryChange]) -> Mapping[Ref, tuple[Problem, ...]]:
        # What was held back before and is not touched stays as it is; everything else has to fit.
        before = self.merged(state).held
        after = self.merged(applied(state, changes, state.version + 1, 0.0, "")).held
        touched = {Ref(change.kind, change.name) for change in changes}
        return {ref: problems for ref, problems in after.items() if ref in touched or ref not in before}


def edited(ref: Ref, edit: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[dict[str, Any]], BaseModel]:
    """Return an edit that checks its result."""
    return lambda spec: SHAPES[ref.kind].model_validate(edit(spec))


def merge_patch(target: Any, patch: Any) -> Any:
    """Return a JSON value after a merge patch (RFC 7396): null removes, objects are merged, everything else replaces."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged


def _creation(ref: Ref, spec: dict[str, Any], key: str | None) -> Creation | None:
    if key is None:
        return None
    asked = json.dumps([ref.kind, spec], sort_keys=True).encode()
    digest = hashlib.sha256(b"sluice registry v1\x00" + key.encode()).hexdigest()
    return Creation(digest, hashlib.sha256(asked).hexdigest())


def _found(state: State, ref: Ref) -> Entry:
    entry = state.find(ref)
    if entry is None:
        raise EntryNotFound(f"There is no {ref.kind} named {ref.name} that was made through the API.")
    return entry


def _name(spec: BaseModel) -> str:
    name: str = spec.name  # type: ignore[attr-defined] # every shape of the registry has one
    return name


def _with_ids(spec: BaseModel) -> BaseModel:
    # A deployment keeps its id when another one is taken away.
    if not isinstance(spec, ModelConfig):
        return spec
    named = tuple(
        one if one.id else one.model_copy(update={"id": made})
        for one, made in zip(spec.deployments, spec.deployment_ids(), strict=True)
    )
    return spec.model_copy(update={"deployments": named})
