"""Splits of requests between versions of a prompt: /v1/prompts/{name}/split."""

from typing import Annotated

from fastapi import APIRouter, Query

from sluice.contracts.paging import Page, PageQuery
from sluice.contracts.prompts import PromptSplit, PromptSplitChange, PromptSplitState
from sluice_gateway.routes.described import public_errors
from sluice_gateway.routes.prompts import Name
from sluice_gateway.routes.public import KeyDep, PublicRoute
from sluice_gateway.wiring import DepsDep

router = APIRouter(
    prefix="/v1/prompts/{name}/split", tags=["prompts"], route_class=PublicRoute, responses=public_errors(403, 404, 422)
)


@router.get("", summary="Get the split of a prompt")
async def get_prompt_split(name: Name, key: KeyDep, deps: DepsDep) -> PromptSplitState:
    """Return which versions answer requests that name none, and the weight of each; of one that tunes itself also what is known and what follows."""
    state = await deps.prompt_splits.get(key.tenant, name)
    return await deps.prompt_judge.shown(key.tenant, state, deps.clock.now())


@router.put("", summary="Split requests between versions of a prompt")
async def set_prompt_split(name: Name, body: PromptSplit, key: KeyDep, deps: DepsDep) -> PromptSplitState:
    """Divide requests that name no version between some, by weights; one that is there already is replaced."""
    return await deps.prompt_splits.set(key.tenant, name, key.key_id, body, deps.clock.now())


@router.delete("", summary="End the split of a prompt")
async def end_prompt_split(name: Name, key: KeyDep, deps: DepsDep) -> PromptSplitState:
    """End the split; the prompt's `default_version` answers from now on. Putting a version in use ends it too."""
    return await deps.prompt_splits.end(key.tenant, name, key.key_id, deps.clock.now())


@router.get("/changes", summary="List changes of the split of a prompt")
async def list_prompt_split_changes(
    name: Name, query: Annotated[PageQuery, Query()], key: KeyDep, deps: DepsDep
) -> Page[PromptSplitChange]:
    """List who or what changed the split, newest first."""
    rows = await deps.prompt_splits.changes(key.tenant, name, limit=query.limit, after=query.after, order=query.order)
    return Page[PromptSplitChange].of(rows, query.limit)
