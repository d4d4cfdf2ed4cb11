"""Prompts: /v1/prompts."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import Field

from sluice.contracts.base import Request
from sluice.contracts.paging import Order, Page, PageQuery
from sluice.contracts.prompts import (
    CreatePrompt,
    CreatePromptVersion,
    Prompt,
    PromptName,
    PromptUse,
    PromptVersion,
    RenderedPrompt,
    UpdatePrompt,
    Version,
)
from sluice.ids import new_id
from sluice_gateway.domain.prompts import StoredVersion, rendered, variables_of
from sluice_gateway.routes.described import public_errors
from sluice_gateway.routes.public import KeyDep, PublicRoute
from sluice_gateway.wiring import DepsDep

router = APIRouter(prefix="/v1/prompts", tags=["prompts"], route_class=PublicRoute)
Name = Annotated[PromptName, Path()]


class VersionQuery(Request):
    """Which versions are wanted: at most `limit` that come after the version with the number `after`."""

    limit: Annotated[int, Field(ge=1, le=100)] = 20
    after: Version | None = None
    order: Order = "desc"


@router.post("", status_code=201, summary="Make a prompt", responses=public_errors(409))
async def create_prompt(body: CreatePrompt, key: KeyDep, deps: DepsDep) -> Prompt:
    """Store a prompt for the tenant of your key; its first version is in use at once."""
    return await deps.prompts.add(new_id("prompt"), key.tenant, key.key_id, body, deps.clock.now())


@router.get("", summary="List prompts")
async def list_prompts(query: Annotated[PageQuery, Query()], key: KeyDep, deps: DepsDep) -> Page[Prompt]:
    """List the tenant's prompts, newest first."""
    rows = await deps.prompts.page(key.tenant, limit=query.limit, after=query.after, order=query.order)
    return Page[Prompt].of(rows, query.limit)


@router.get("/{name}", summary="Get a prompt", responses=public_errors(404))
async def get_prompt(name: Name, key: KeyDep, deps: DepsDep) -> Prompt:
    """Return a prompt and which of its versions is in use."""
    return await deps.prompts.get(key.tenant, name)


@router.patch("/{name}", summary="Change a prompt", responses=public_errors(404))
async def change_prompt(name: Name, body: UpdatePrompt, key: KeyDep, deps: DepsDep) -> Prompt:
    """Put a version in use with `default_version`, or change what is noted of the prompt; versions never change."""
    return await deps.prompts.change(key.tenant, name, body, deps.clock.now())


@router.delete("/{name}", summary="Delete a prompt", responses=public_errors(404))
async def delete_prompt(name: Name, key: KeyDep, deps: DepsDep) -> Prompt:
    """Delete a prompt with all its versions, for good."""
    return await deps.prompts.delete(key.tenant, name)


@router.post("/{name}/versions", status_code=201, summary="Add a version of a prompt", responses=public_errors(404))
async def create_prompt_version(name: Name, body: CreatePromptVersion, key: KeyDep, deps: DepsDep) -> PromptVersion:
    """Add a version; with `release` it is in use at once."""
    return _shown(await deps.prompts.add_version(key.tenant, name, key.key_id, body, deps.clock.now()))


@router.get("/{name}/versions", summary="List versions of a prompt", responses=public_errors(404))
async def list_prompt_versions(
    name: Name, query: Annotated[VersionQuery, Query()], key: KeyDep, deps: DepsDep
) -> Page[PromptVersion]:
    """List the versions of a prompt, newest first."""
    rows = await deps.prompts.versions(key.tenant, name, limit=query.limit, after=query.after, order=query.order)
    return Page[PromptVersion].of([_shown(row) for row in rows], query.limit)


@router.get("/{name}/versions/{version}", summary="Get a version of a prompt", responses=public_errors(404))
async def get_prompt_version(
    name: Name, version: Annotated[Version, Path()], key: KeyDep, deps: DepsDep
) -> PromptVersion:
    """Return what one version says."""
    return _shown(await deps.prompts.version(key.tenant, name, version))


@router.post("/{name}/render", summary="Show what a prompt becomes", responses=public_errors(404))
async def render_prompt(name: Name, body: PromptUse, key: KeyDep, deps: DepsDep) -> RenderedPrompt:
    """Return the messages that a model would be sent, and ask none."""
    found = await deps.prompts.version(key.tenant, name, body.version)
    return RenderedPrompt(
        prompt=name,
        version=found.version,
        model=found.template.model,
        parameters=found.template.parameters,
        messages=rendered(found.template, body.variables),
    )


def _shown(stored: StoredVersion) -> PromptVersion:
    return PromptVersion(
        id=str(stored.version),
        prompt=stored.prompt,
        version=stored.version,
        variables=variables_of(stored.template.sections),
        created_by=stored.created_by,
        created_at=stored.created_at,
        **dict(stored.template),
    )
