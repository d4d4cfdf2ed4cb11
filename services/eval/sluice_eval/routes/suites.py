"""Suites."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from sluice.auth import CallerDep
from sluice.contracts.evals import CreateEval, DeletedEval, EvalSuite
from sluice.contracts.paging import Cursor, Page, PageQuery, id_of
from sluice.errors import Unauthorized, Unprocessable, problem_responses
from sluice_eval.domain.errors import SuiteBusy, SuiteInvalid, SuiteMediaType, SuiteNotFound, SuiteTooLarge
from sluice_eval.routes.upload import REQUEST_BODY, read_suite
from sluice_eval.wiring import DepsDep

router = APIRouter(prefix="/v1/evals", tags=["suites"], responses=problem_responses(Unauthorized, Unprocessable))


@router.post(
    "",
    status_code=201,
    summary="Store a suite",
    openapi_extra=REQUEST_BODY,
    responses={
        200: {"model": EvalSuite, "description": "The newest version is equal to it"},
        **problem_responses(SuiteInvalid, SuiteTooLarge, SuiteMediaType),
    },
)
async def create_suite(request: Request, response: Response, caller: CallerDep, deps: DepsDep) -> EvalSuite:
    """Store a suite as the next version of its name; a suite that equals the newest version is that version."""
    suite = await read_suite(request, deps.settings.max_suite_bytes)
    stored = await deps.library.add_suite(caller.tenant, suite, deps.clock.now())
    response.status_code = 201 if stored.new else 200
    return stored.suite


class SuiteQuery(PageQuery):
    """Which suites are wanted."""

    after: Annotated[Cursor | None, id_of("eval")] = None


@router.get("", summary="List suites")
async def list_suites(page: Annotated[SuiteQuery, Query()], caller: CallerDep, deps: DepsDep) -> Page[EvalSuite]:
    """List the tenant's suites, every version, newest first unless asked otherwise."""
    return Page[EvalSuite].of(await deps.library.suites(caller.tenant, page), page.limit)


@router.get("/{eval_id}", summary="Get a suite", responses=problem_responses(SuiteNotFound))
async def get_suite(eval_id: str, caller: CallerDep, deps: DepsDep) -> EvalSuite:
    """Return one version of a suite, without its items."""
    return await deps.library.suite(caller.tenant, eval_id)


@router.get("/{eval_id}/content", summary="Get a suite's items", responses=problem_responses(SuiteNotFound))
async def get_suite_content(eval_id: str, caller: CallerDep, deps: DepsDep) -> CreateEval:
    """Return the whole of a suite as it was stored, with an id for every item."""
    return await deps.library.suite_body(caller.tenant, eval_id)


@router.delete("/{eval_id}", summary="Delete a suite", responses=problem_responses(SuiteNotFound, SuiteBusy))
async def delete_suite(eval_id: str, caller: CallerDep, deps: DepsDep) -> DeletedEval:
    """Delete one version of a suite with its runs and their results."""
    await deps.library.remove_suite(caller.tenant, eval_id)
    return DeletedEval(id=eval_id)
