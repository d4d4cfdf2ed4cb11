"""Prompts: /v1/prompts."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import Field

from sluice.contracts.base import Request
from sluice.contracts.gateway import PromptName
from sluice.contracts.paging import Cursor, Order, Page, PageQuery, id_of
from sluice.contracts.prompts import (
    CreatePrompt,
    CreatePromptVersion,
    Prompt,
    PromptLint,
    PromptTemplate,
    PromptUsage,
    PromptUse,
    PromptVersion,
    RenderedPrompt,
    UpdatePrompt,
    Version,
)
from sluice.ids import new_id
from sluice_gateway.dataplane.wants import prompt_subject
from sluice_gateway.domain.ports import KeyRecord
from sluice_gateway.domain.prices import with_overrides
from sluice_gateway.domain.prompt_lint import ModelFacts, linted, texts_of
from sluice_gateway.domain.prompts import StoredVersion, rendered, variables_of
from sluice_gateway.routes.described import public_errors
from sluice_gateway.routes.public import KeyDep, PublicRoute
from sluice_gateway.wiring import Deps, DepsDep

router = APIRouter(
    prefix="/v1/prompts", tags=["prompts"], route_class=PublicRoute, responses=public_errors(403, 404, 422)
)
Name = Annotated[PromptName, Path()]
At = Annotated[float, Field(ge=0, le=253_402_300_799, description="unix seconds")]
_USUAL_S = 30 * 86_400


class VersionQuery(Request):
    """Which versions are wanted: at most `limit` that come after the version with the number `after`."""

    limit: Annotated[int, Field(ge=1, le=100)] = 20
    after: Version | None = None
    order: Order = "desc"


class LintQuery(Request):
    """Which version is meant; without one that in use."""

    version: Version | None = None


class ComparisonQuery(Request):
    """Of which period (unix seconds, `to` excluded), and how many versions at most."""

    since: At | None = Field(None, alias="from")
    until: At | None = Field(None, alias="to")
    limit: Annotated[int, Field(ge=1, le=50)] = 20


class PromptQuery(PageQuery):
    """Which prompts are wanted."""

    after: Annotated[Cursor | None, id_of("prompt")] = None


@router.post("", status_code=201, summary="Make a prompt", responses=public_errors(409))
async def create_prompt(body: CreatePrompt, key: KeyDep, deps: DepsDep) -> Prompt:
    """Store a prompt for the tenant of your key; its first version is in use at once."""
    return await deps.prompts.add(new_id("prompt"), key.tenant, key.key_id, body, deps.clock.now())


@router.get("", summary="List prompts", responses=public_errors(400))
async def list_prompts(query: Annotated[PromptQuery, Query()], key: KeyDep, deps: DepsDep) -> Page[Prompt]:
    """List the tenant's prompts, newest first."""
    rows = await deps.prompts.page(key.tenant, limit=query.limit, after=query.after, order=query.order)
    return Page[Prompt].of(rows, query.limit)


@router.get("/{name}", summary="Get a prompt", responses=public_errors(404))
async def get_prompt(name: Name, key: KeyDep, deps: DepsDep) -> Prompt:
    """Return a prompt and which of its versions is in use."""
    return await deps.prompts.get(key.tenant, name)


@router.patch("/{name}", summary="Change a prompt", responses=public_errors(404))
async def change_prompt(name: Name, body: UpdatePrompt, key: KeyDep, deps: DepsDep) -> Prompt:
    """Put a version in use with `default_version`, which ends a split, or change what is noted of the prompt; versions never change."""
    return await deps.prompts.change(key.tenant, name, key.key_id, body, deps.clock.now())


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
    """Return the messages that a model would be sent, and ask none; with a `subject` those of its version in a split."""
    whom = prompt_subject(body.subject, {}, key.tenant)
    found = await deps.prompts.version(key.tenant, name, body.version, whom)
    return RenderedPrompt(
        prompt=name,
        version=found.version,
        model=found.template.model,
        parameters=found.template.parameters,
        messages=rendered(found.template, body.variables),
    )


@router.post("/lint", summary="Look over a prompt")
async def lint_prompt(body: PromptTemplate, key: KeyDep, deps: DepsDep) -> PromptLint:
    """Say what is wrong with a prompt, or may be, before it is stored; asks no model.

    Variables, demands on the length that cannot both be kept, text that is there twice, personal data and secrets (the guardrail
    looks for them), and what its own text costs.
    """
    return await _linted(deps, key, body)


@router.get("/{name}/lint", summary="Look over a stored prompt", responses=public_errors(404))
async def lint_stored_prompt(
    name: Name, query: Annotated[LintQuery, Query()], key: KeyDep, deps: DepsDep
) -> PromptLint:
    """Say the same of a version, by default of the one in use."""
    return await _linted(deps, key, (await deps.prompts.version(key.tenant, name, query.version)).template)


@router.get("/{name}/usage", summary="Compare versions of a prompt", responses=public_errors(404))
async def compare_prompt_versions(
    name: Name, query: Annotated[ComparisonQuery, Query()], key: KeyDep, deps: DepsDep
) -> PromptUsage:
    """Return requests, tokens, cost and times of each version, newest first; without `from` of the last 30 days, and none of before the prompt was made."""
    made = await deps.prompts.get(key.tenant, name)
    until = deps.clock.now() if query.until is None else query.until
    # What is older is of a deleted prompt that had the name.
    since = max(made.created_at, until - _USUAL_S) if query.since is None else query.since
    found = await deps.prompt_usage.versions(key.tenant, name, since, until, query.limit)
    told = await deps.prompt_feedback.of(key.tenant, name, since, until)
    return PromptUsage(
        prompt=name,
        feedback_missing=told.missing,
        data=tuple(one.model_copy(update={"feedback": told.versions.get(one.version)}) for one in found),
    )


async def _linted(deps: Deps, key: KeyRecord, template: PromptTemplate) -> PromptLint:
    seen = await deps.prompt_guard.look(list(texts_of(template.sections)), key.tenant)
    return linted(template, _facts(deps, key, template.model), seen)


def _facts(deps: Deps, key: KeyRecord, name: str | None) -> ModelFacts | None:
    snapshot = deps.routing.current
    if name is None or snapshot is None or (key.models is not None and name not in key.models):
        return None
    stands_for = {alias.name: alias.model for alias in snapshot.aliases}
    named = stands_for.get(name, name)
    priced = with_overrides(snapshot, deps.prices.overrides, deps.clock.now())
    for model in priced.models:
        if model.name == named:
            return ModelFacts(model.context_tokens, None if model.price is None else (model.price.input or 0.0) / 1e6)
    return ModelFacts(None, None) if any(route.name == named for route in snapshot.routes) else None


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
