"""The registry: /admin/models, /admin/routes, /admin/policies, /admin/aliases and /admin/registry."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Query, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

from sluice.auth import AdminDep
from sluice.contracts.paging import Page, PageQuery
from sluice.contracts.registry import (
    RegistryDeleted,
    RegistryKind,
    RegistryStatus,
    RegistryVersion,
    RollbackRequest,
)
from sluice.errors import DependencyUnavailable, Forbidden, Unauthorized, problem_responses
from sluice_router.domain.config import ModelConfig, with_ids
from sluice_router.domain.errors import (
    DeclaredInFile,
    EntryNotFound,
    IdempotencyKeyReused,
    NameTaken,
    PreconditionFailed,
    RegistryInvalid,
    StillInUse,
    VersionNotFound,
)
from sluice_router.domain.offers import Place
from sluice_router.domain.references import STAR
from sluice_router.domain.registry import SHAPES, Entry, Ref, of_kind
from sluice_router.domain.registry_admin import Done, edited, merge_patch
from sluice_router.routes.shapes import (
    DryRun,
    IdempotencyKey,
    IfMatch,
    IfNoneMatch,
    Object,
    ObjectQuery,
    Offered,
    PathName,
    condition_of,
)
from sluice_router.routes.trails import TrailDep
from sluice_router.wiring import Deps, DepsDep

router = APIRouter(tags=["registry"], responses=problem_responses(Unauthorized, Forbidden, DependencyUnavailable))
PATCH_TYPES = {"application/merge-patch+json": {"schema": {"type": "object"}}}


def shown(deps: Deps, entry: Entry, *, in_force: bool | None = None) -> Object[BaseModel]:
    """Return an object of the API as it is answered."""
    problems = deps.live.seen().held.get(entry.ref)
    spec = SHAPES[entry.kind].model_validate(entry.spec)
    return Object[BaseModel](
        kind=entry.kind,
        name=entry.name,
        declared_in="api",
        in_force=problems is None if in_force is None else in_force,
        problem="; ".join(problem.sentence for problem in problems) if problems else None,
        version=entry.version,
        created_at=entry.created_at,
        updated_at=entry.updated_at,
        updated_by=entry.updated_by,
        offers=_offers(deps, spec),
        spec=spec,
    )


def answered(deps: Deps, done: Done, response: Response) -> Object[BaseModel]:
    """Return the answer to a change, and set its headers."""
    response.headers["etag"] = f'"{done.entry.version}"'
    if done.replayed:
        response.headers["idempotent-replayed"] = "true"
    return shown(deps, done.entry)


def all_of(deps: Deps, kind: RegistryKind) -> list[Object[BaseModel]]:
    """Return all objects of a kind by name: those of the file, and those of the API, in force or not."""
    declared = [
        Object[BaseModel](
            kind=kind, name=spec.name, declared_in="file", in_force=True, offers=_offers(deps, spec), spec=spec
        )
        for spec in of_kind(deps.live.file, kind)
    ]
    made = [shown(deps, entry) for entry in deps.live.state.entries if entry.kind == kind]
    return sorted((*declared, *made), key=lambda one: (one.name, one.declared_in))


def _offers(deps: Deps, spec: BaseModel) -> tuple[Offered, ...] | None:
    if not isinstance(spec, ModelConfig) or STAR not in spec.name:
        return None
    asked = deps.lister.asked()
    found = ((deployment_id, asked.get(Place.of(one))) for deployment_id, one in with_ids(spec))
    return tuple(
        Offered(deployment=deployment_id, listed_at=one.listed_at, models=one.models, problem=one.problem)
        for deployment_id, one in found
        if one is not None
    )


def checked(make: Callable[[], Any]) -> Any:
    """Return what `make` makes; what pydantic finds wrong is answered as a wrong body is."""
    try:
        return make()
    except ValidationError as exc:
        raise RequestValidationError([{**error, "loc": ("body", *error["loc"])} for error in exc.errors()]) from exc


def _answer(kind: RegistryKind) -> Any:
    generic: Any = Object
    return generic[SHAPES[kind]]


def _add_reading(kind: RegistryKind, path: str) -> None:
    answer = _answer(kind)
    page: Any = Page
    many = path.rpartition("/")[2]

    async def listed(query: Annotated[ObjectQuery, Query()], deps: DepsDep, _: AdminDep) -> Any:
        found = [
            one
            for one in all_of(deps, kind)
            if (query.after is None or one.name > query.after)
            and query.declared_in in (None, one.declared_in)
            and query.in_force in (None, one.in_force)
        ]
        return Page[Object[BaseModel]].of(found[: query.limit + 1], query.limit, key="name")

    async def read(name: PathName, deps: DepsDep, _: AdminDep, response: Response) -> Any:
        found = [one for one in all_of(deps, kind) if one.name == name]
        if not found:
            raise EntryNotFound(f"There is no {kind} named {name}.")
        best = max(found, key=lambda one: one.in_force)
        if best.version is not None:
            response.headers["etag"] = f'"{best.version}"'
        return best

    router.add_api_route(path, listed, methods=["GET"], summary=f"List {many}", name=f"list_{many}", response_model=page[answer], description=f"List {many} by name: those of models.yaml and those of the API, in force or not.")  # fmt: skip
    router.add_api_route(f"{path}/{{name:path}}", read, methods=["GET"], summary=f"Get a {kind}", name=f"read_{kind}", response_model=answer, responses=problem_responses(EntryNotFound), description=f"Return a {kind} with its ETag.")  # fmt: skip


def _add_making(kind: RegistryKind, path: str) -> None:
    answer = _answer(kind)

    async def create(
        body: Any, deps: DepsDep, trail: TrailDep, response: Response, idempotency_key: IdempotencyKey = None, *, dry_run: DryRun = False
    ) -> Any:  # fmt: skip
        done = await deps.admin.create(body, trail, idempotency_key=idempotency_key, dry_run=dry_run)
        return answered(deps, done, response)

    create.__annotations__["body"] = SHAPES[kind]
    new = problem_responses(NameTaken, DeclaredInFile, RegistryInvalid, IdempotencyKeyReused, EntryNotFound)
    router.add_api_route(path, create, methods=["POST"], summary=f"Make a {kind}", name=f"create_{kind}", response_model=answer, status_code=201, responses=new, description=f"Make a {kind}; all gateways know it within two seconds.")  # fmt: skip


def _add_changing(kind: RegistryKind, path: str) -> None:
    answer = _answer(kind)

    async def put(
        name: PathName, body: Any, deps: DepsDep, trail: TrailDep, response: Response, if_match: IfMatch = None, if_none_match: IfNoneMatch = None, *, dry_run: DryRun = False
    ) -> Any:  # fmt: skip
        if body.name != name:
            raise RegistryInvalid([("name", f"must be {name}, as in the address; a {kind} is not renamed.")])
        done = await deps.admin.put(body, trail, condition_of(if_match, if_none_match), dry_run=dry_run)
        response.status_code = 201 if done.made else 200
        return answered(deps, done, response)

    async def patch(
        name: PathName, body: Annotated[dict[str, Any], Body()], deps: DepsDep, trail: TrailDep, response: Response, if_match: IfMatch = None, *, dry_run: DryRun = False
    ) -> Any:  # fmt: skip
        if body.get("name", name) != name:
            raise RegistryInvalid([("name", f"must be {name}, as in the address; a {kind} is not renamed.")])
        ref = Ref(kind, name)
        edit = edited(ref, lambda spec: {**merge_patch(spec, body), "name": name})
        done = await deps.admin.change(
            ref, lambda spec: checked(lambda: edit(spec)), trail, condition_of(if_match), dry_run=dry_run
        )
        return answered(deps, done, response)

    async def delete(
        name: PathName, deps: DepsDep, trail: TrailDep, if_match: IfMatch = None, *, dry_run: DryRun = False
    ) -> RegistryDeleted:
        state = await deps.admin.delete(Ref(kind, name), trail, condition_of(if_match), dry_run=dry_run)
        return RegistryDeleted(kind=kind, name=name, version=state.version)

    put.__annotations__["body"] = SHAPES[kind]
    other = problem_responses(EntryNotFound, NameTaken, DeclaredInFile, RegistryInvalid, PreconditionFailed)
    gone = problem_responses(EntryNotFound, DeclaredInFile, StillInUse, PreconditionFailed)
    add = router.add_api_route
    add(path, put, methods=["PUT"], summary=f"Make or replace a {kind}", name=f"put_{kind}", response_model=answer, responses={201: {"model": answer, "description": "It was made"}, **other}, description=f"Replace the whole {kind}, or make it; what is left out has its default.")  # fmt: skip
    add(path, patch, methods=["PATCH"], summary=f"Change a {kind}", name=f"change_{kind}", response_model=answer, responses=other, openapi_extra={"requestBody": {"content": PATCH_TYPES}}, description="Change the fields that are given, as a JSON merge patch (RFC 7396): null takes a field back to its default.")  # fmt: skip
    add(path, delete, methods=["DELETE"], summary=f"Delete a {kind}", name=f"delete_{kind}", responses=gone, description=f"Delete a {kind} that nothing else names; requests under way are finished.")  # fmt: skip


_SECTIONS: tuple[tuple[RegistryKind, str], ...] = (
    ("model", "/admin/models"),
    ("route", "/admin/routes"),
    ("policy", "/admin/policies"),
    ("alias", "/admin/aliases"),
)
for _kind, _path in _SECTIONS:
    _add_reading(_kind, _path)
    _add_making(_kind, _path)
    _add_changing(_kind, f"{_path}/{{name:path}}")


@router.get("/admin/registry", summary="The registry's version, and what is held back")
async def read_registry(deps: DepsDep, _: AdminDep) -> RegistryStatus:
    """Return which version is in force here, and what was made through the API but does not fit models.yaml."""
    return deps.live.status()


@router.get("/admin/registry/versions", summary="List changes of the registry")
async def list_versions(query: Annotated[PageQuery, Query()], deps: DepsDep, _: AdminDep) -> Page[RegistryVersion]:
    """List every change with who made it, when, and each object before and after; newest first."""
    rows = await deps.registry_store.versions(limit=query.limit, after=query.after, order=query.order)
    return Page[RegistryVersion].of(rows, query.limit)


@router.get(
    "/admin/registry/versions/{version}",
    summary="Get one change of the registry",
    responses=problem_responses(VersionNotFound),
)
async def get_version(version: Annotated[int, Path(ge=1, le=2**31 - 1)], deps: DepsDep, _: AdminDep) -> RegistryVersion:
    """Return one change."""
    return await deps.registry_store.get_version(version)


@router.post(
    "/admin/registry/rollback",
    summary="Bring an earlier version back",
    responses=problem_responses(VersionNotFound, RegistryInvalid),
)
async def roll_back(
    body: RollbackRequest, deps: DepsDep, trail: TrailDep, *, dry_run: DryRun = False
) -> RegistryStatus:
    """Bring everything that was made through the API back to how it was at a version; that is a new version."""
    state = await deps.admin.roll_back(body.version, trail, dry_run=dry_run)
    held = deps.admin.merged(state).held_back()
    return RegistryStatus(version=state.version, objects=len(state.entries), held_back=held)
