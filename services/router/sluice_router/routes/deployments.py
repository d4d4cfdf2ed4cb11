"""Deployments one by one: /admin/deployments. Each is a part of its model, whose version it has."""

from collections.abc import Callable, Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Response
from pydantic import BaseModel

from sluice.auth import AdminDep
from sluice.contracts.paging import Page
from sluice.contracts.registry import RegistryDeleted
from sluice.contracts.routing import Deployment
from sluice.errors import DependencyUnavailable, Forbidden, Unauthorized, problem_responses
from sluice_router.domain.choice import Load
from sluice_router.domain.config import DeploymentConfig, ModelConfig, with_ids
from sluice_router.domain.errors import DeclaredInFile, EntryNotFound, NameTaken, PreconditionFailed, RegistryInvalid
from sluice_router.domain.publication import HealthNote
from sluice_router.domain.registry import Ref, kept
from sluice_router.domain.registry_admin import Done, Trail, edited, merge_patch
from sluice_router.routes.registry import PATCH_TYPES, all_of, checked
from sluice_router.routes.shapes import (
    DeploymentObject,
    DeploymentQuery,
    DryRun,
    IfMatch,
    NewDeployment,
    Object,
    PathName,
    condition_of,
)
from sluice_router.routes.trails import TrailDep
from sluice_router.wiring import Deps, DepsDep

router = APIRouter(
    prefix="/admin/deployments",
    tags=["registry"],
    responses=problem_responses(Unauthorized, Forbidden, DependencyUnavailable),
)
_CHANGED = problem_responses(EntryNotFound, DeclaredInFile, RegistryInvalid, PreconditionFailed)


@router.get("", summary="List deployments")
async def list_deployments(
    query: Annotated[DeploymentQuery, Query()], deps: DepsDep, _: AdminDep
) -> Page[DeploymentObject]:
    """List deployments by id, with their model, health and load."""
    found = [
        one
        for one in sorted(_all(deps), key=lambda one: one.id)
        if (query.after is None or one.id > query.after)
        and query.declared_in in (None, one.declared_in)
        and query.in_force in (None, one.in_force)
        and query.model in (None, one.model)
        and query.health in (None, one.health)
    ]
    return Page[DeploymentObject].of(found[: query.limit + 1], query.limit)


@router.post(
    "",
    status_code=201,
    summary="Add a deployment to a model",
    responses=problem_responses(NameTaken, EntryNotFound, DeclaredInFile, RegistryInvalid, PreconditionFailed),
)
async def add_deployment(
    body: NewDeployment,
    deps: DepsDep,
    trail: TrailDep,
    response: Response,
    if_match: IfMatch = None,
    *,
    dry_run: DryRun = False,
) -> DeploymentObject:
    """Add a place that serves a model which was made through the API; without an id it gets one."""
    there = {one.id for one in _all(deps)}
    if body.id in there:
        raise NameTaken(f"There is a deployment {body.id} already.")
    chosen = body.id or next(name for n in range(1, len(there) + 2) if (name := f"{body.model}-{n}") not in there)
    made = {**kept(body), "id": chosen}
    del made["model"]
    done = await _change(
        deps, body.model, lambda many: [*many, made], trail, if_match, dry_run=dry_run, response=response
    )
    return _one(deps, done, chosen)


@router.get("/{deployment_id:path}", summary="Get a deployment", responses=problem_responses(EntryNotFound))
async def read_deployment(deployment_id: PathName, deps: DepsDep, _: AdminDep, response: Response) -> DeploymentObject:
    """Return one deployment; its ETag is its model's."""
    found = _found(deps, deployment_id)
    if found.version is not None:
        response.headers["etag"] = f'"{found.version}"'
    return found


@router.put("/{deployment_id:path}", summary="Replace a deployment", responses=_CHANGED)
async def put_deployment(
    deployment_id: PathName,
    body: DeploymentConfig,
    deps: DepsDep,
    trail: TrailDep,
    response: Response,
    if_match: IfMatch = None,
    *,
    dry_run: DryRun = False,
) -> DeploymentObject:
    """Replace a deployment of its model; what is left out has its default."""
    if body.id not in (None, deployment_id):
        raise RegistryInvalid([("id", f"must be {deployment_id}, as in the address.")])
    fresh = {**kept(body), "id": deployment_id}
    return await _replace(deps, deployment_id, lambda _: fresh, trail, if_match, dry_run=dry_run, response=response)


@router.patch(
    "/{deployment_id:path}",
    summary="Change a deployment",
    responses=_CHANGED,
    openapi_extra={"requestBody": {"content": PATCH_TYPES}},
)
async def change_deployment(
    deployment_id: PathName,
    body: Annotated[dict[str, Any], Body()],
    deps: DepsDep,
    trail: TrailDep,
    response: Response,
    if_match: IfMatch = None,
    *,
    dry_run: DryRun = False,
) -> DeploymentObject:
    """Change the fields that are given, as a JSON merge patch (RFC 7396); `weight` moves traffic."""
    if body.get("id", deployment_id) != deployment_id:
        raise RegistryInvalid([("id", f"must be {deployment_id}, as in the address.")])

    def patched(one: dict[str, Any]) -> dict[str, Any]:
        whole = {**merge_patch(one, body), "id": deployment_id}
        return kept(checked(lambda: DeploymentConfig.model_validate(whole)))

    return await _replace(deps, deployment_id, patched, trail, if_match, dry_run=dry_run, response=response)


@router.delete("/{deployment_id:path}", summary="Take a deployment away", responses=_CHANGED)
async def delete_deployment(
    deployment_id: PathName,
    deps: DepsDep,
    trail: TrailDep,
    response: Response,
    if_match: IfMatch = None,
    *,
    dry_run: DryRun = False,
) -> RegistryDeleted:
    """Take a deployment away from its model; requests under way are finished. A model's last one stays: delete the model."""
    found = _found(deps, deployment_id)

    def without(many: list[dict[str, Any]]) -> list[dict[str, Any]]:
        left = [one for one in many if one["id"] != deployment_id]
        if not left:
            raise RegistryInvalid([("", f"{deployment_id} is the only deployment of {found.model}; delete the model.")])
        return left

    done = await _change(deps, found.model, without, trail, if_match, dry_run=dry_run, response=response)
    return RegistryDeleted(kind="model", name=deployment_id, version=done.entry.version)


Many = list[dict[str, Any]]


async def _replace(
    deps: Deps,
    deployment_id: str,
    edit: Callable[[dict[str, Any]], dict[str, Any]],
    trail: Trail,
    if_match: str | None,
    *,
    dry_run: bool,
    response: Response,
) -> DeploymentObject:
    found = _found(deps, deployment_id)

    def replaced(many: Many) -> Many:
        return [edit(one) if one["id"] == deployment_id else one for one in many]

    done = await _change(deps, found.model, replaced, trail, if_match, dry_run=dry_run, response=response)
    return _one(deps, done, deployment_id)


async def _change(
    deps: Deps,
    model: str,
    edit: Callable[[Many], Many],
    trail: Trail,
    if_match: str | None,
    *,
    dry_run: bool,
    response: Response,
) -> Done:
    ref = Ref("model", model)
    change = edited(ref, lambda spec: {**spec, "deployments": edit(spec["deployments"])})
    done = await deps.admin.change(
        ref, lambda spec: checked(lambda: change(spec)), trail, condition_of(if_match), dry_run=dry_run
    )
    response.headers["etag"] = f'"{done.entry.version}"'
    return done


def _found(deps: Deps, deployment_id: str) -> DeploymentObject:
    found = next((one for one in _all(deps) if one.id == deployment_id), None)
    if found is None:
        raise EntryNotFound(f"There is no deployment {deployment_id}.")
    return found


def _one(deps: Deps, done: Done, deployment_id: str) -> DeploymentObject:
    model = ModelConfig.model_validate(done.entry.spec)
    entry = Object[BaseModel](
        kind="model", name=model.name, declared_in="api", in_force=True, version=done.entry.version, spec=model
    )
    return next(one for one in _of(deps, entry, _seen(deps)) if one.id == deployment_id)


def _all(deps: Deps) -> Iterator[DeploymentObject]:
    seen = _seen(deps)
    for entry in all_of(deps, "model"):
        yield from _of(deps, entry, seen)


def _seen(deps: Deps) -> dict[str, Deployment]:
    return {one.id: one for model in deps.publisher.current.models for one in model.deployments}


def _of(deps: Deps, entry: Object[BaseModel], seen: dict[str, Deployment]) -> Iterator[DeploymentObject]:
    loads, idle = deps.loads.now(), Load()
    assert isinstance(entry.spec, ModelConfig)
    for deployment_id, spec in with_ids(entry.spec):
        known: Deployment | HealthNote | None = None
        if entry.in_force:  # what stands for many has no load of its own, and is probed for all of them
            known = seen.get(deployment_id) or deps.prober.book.notes.get(deployment_id)
        yield DeploymentObject(
            id=deployment_id,
            model=entry.name,
            declared_in=entry.declared_in,
            in_force=entry.in_force,
            version=entry.version,
            health=known.health if known else "unknown",
            health_reason=known.reason if isinstance(known, HealthNote) else known and known.health_reason,
            load=loads.get(deployment_id, idle).share(known) if isinstance(known, Deployment) else 0.0,
            spec=spec,
        )
