"""Usage: /admin/usage for the administrator and services, /v1/usage for the holder of an API key."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from pydantic import Field

from sluice.contracts.base import Request
from sluice.contracts.gateway import ModelName, PromptName, Tag, Tenant, UserType
from sluice.contracts.paging import Page, PageQuery
from sluice.contracts.prompts import Version
from sluice.contracts.usage import (
    TrendGroup,
    TrendInterval,
    UsageGroup,
    UsageRebuilt,
    UsageRecord,
    UsageStatus,
    UsageSummary,
    UsageTrend,
)
from sluice.errors import DependencyUnavailable, Forbidden, Unauthorized, problem_responses
from sluice_gateway.domain.errors import CursorUnknown, TrendTooLong, UsageNotFound
from sluice_gateway.domain.usage import UsageFilter, check_trend, trend_period
from sluice_gateway.domain.usage_export import MEDIA_TYPES, ExportFormat, head, lines
from sluice_gateway.routes.admin import PathId, TenantDep
from sluice_gateway.routes.public import ErrorReply, PublicRoute, ReaderDep
from sluice_gateway.wiring import Deps, DepsDep

admin = APIRouter(
    prefix="/admin/usage", tags=["usage"], responses=problem_responses(Unauthorized, Forbidden, DependencyUnavailable)
)
own = APIRouter(
    prefix="/v1/usage",
    tags=["usage"],
    route_class=PublicRoute,
    responses={
        400: {"model": ErrorReply, "description": "A filter that cannot be read"},
        401: {"model": ErrorReply, "description": "No API key, or not a valid one"},
        403: {"model": ErrorReply, "description": "The key may not read usage"},
        404: {"model": ErrorReply, "description": "No such request"},
        422: {"model": ErrorReply, "description": "`after` names no request, or the period has too many points"},
        503: {"model": ErrorReply, "description": "The database is away"},
    },
)

_WRITTEN: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {kind: {"schema": {"type": "string"}} for kind in ("text/csv", "application/jsonl")},
        "description": "One record a line; CSV begins with the names of its columns",
    }
}

_NO_NUL = r"^[^\x00]*$"  # PostgreSQL holds none, and refuses to look for one
KeyId = Annotated[str, Field(max_length=64, pattern=_NO_NUL, description="id of an API key")]
TeamId = Annotated[str, Field(max_length=40, pattern=_NO_NUL, description="id of a team")]
OrganizationId = Annotated[str, Field(max_length=40, pattern=_NO_NUL, description="id of an organisation")]
EndUser = Annotated[str, Field(max_length=128, pattern=_NO_NUL, description="the request's `user`")]
At = Annotated[float, Field(ge=0, le=253_402_300_799, description="unix seconds")]


class OwnWhich(Request):
    """Which of the tenant's requests are meant; `from` is included, `to` is not."""

    key_id: KeyId | None = None
    model: ModelName | None = None
    status: UsageStatus | None = None
    team_id: TeamId | None = None
    end_user: EndUser | None = None
    user_type: UserType | None = None
    tag: Tag | None = None
    prompt: PromptName | None = None
    prompt_version: Version | None = None
    since: At | None = Field(None, alias="from")
    until: At | None = Field(None, alias="to")


class Which(OwnWhich):
    """Which requests are meant; `from` is included, `to` is not."""

    tenant: Tenant | None = None
    organization_id: OrganizationId | None = None


class OwnUsageQuery(OwnWhich, PageQuery):
    """Which of the tenant's requests are wanted."""


class UsageQuery(Which, PageQuery):
    """Which requests are wanted."""


class OwnSummaryQuery(OwnWhich):
    """Which of the tenant's requests are summed up, and how they are split."""

    group_by: UsageGroup = "model"


class SummaryQuery(OwnSummaryQuery, Which):
    """Which requests are summed up, and how they are split."""


class OwnTrendQuery(OwnWhich):
    """Which of the tenant's requests are summed up, by what time, and how they are split."""

    interval: TrendInterval = "day"
    group_by: TrendGroup | None = None
    groups: int = Field(10, ge=1, le=50, description="how many groups at most, from the dearest down")


class TrendQuery(OwnTrendQuery, Which):
    """Which requests are summed up, by what time, and how they are split."""


class OwnExportQuery(OwnWhich):
    """Which of the tenant's requests are written out, and how."""

    format: ExportFormat = "csv"


class ExportQuery(OwnExportQuery, Which):
    """Which requests are written out, and how."""


@admin.get("", summary="List requests", responses=problem_responses(CursorUnknown))
async def list_usage(query: Annotated[UsageQuery, Query()], deps: DepsDep, bound: TenantDep) -> Page[UsageRecord]:
    """List requests, newest first, with exact token counts."""
    rows = await deps.usage.page(_asked(query, bound), limit=query.limit, after=query.after, order=query.order)
    return Page[UsageRecord].of(rows, query.limit)


@admin.get("/summary", summary="Sum up requests")
async def summarise_usage(query: Annotated[SummaryQuery, Query()], deps: DepsDep, bound: TenantDep) -> UsageSummary:
    """Return totals of a period, and the same by model, key, tenant, organisation, team, tag, prompt, end user, user type, deployment, endpoint, status or day (UTC)."""
    return await deps.usage.summary(_asked(query, bound), query.group_by)


@admin.get("/trend", summary="Sum up requests over time", responses=problem_responses(TrendTooLong))
async def trend_of_usage(query: Annotated[TrendQuery, Query()], deps: DepsDep, bound: TenantDep) -> UsageTrend:
    """Return usage, cost and what a million tokens came to, by day, week or month (UTC), of all or of the dearest groups.

    Without `from` it goes back 90 days, 52 weeks or 24 months.
    """
    return await _trend(query, _asked(query, bound), deps)


@admin.get("/export", summary="Write out requests", response_class=StreamingResponse, responses=_WRITTEN)
async def export_usage(query: Annotated[ExportQuery, Query()], deps: DepsDep, bound: TenantDep) -> StreamingResponse:
    """Return all matching records, oldest first, as CSV or JSON lines. An answer that breaks off is not complete."""
    return await _written(deps.usage.pages(_asked(query, bound)), query.format)


@admin.post("/rebuild", summary="Sum up all records again")
async def rebuild_usage(deps: DepsDep, bound: TenantDep) -> UsageRebuilt:
    """Make the sums of hours and days again from the records, as after a restore; for the administrator only."""
    if bound is not None:
        raise Forbidden("The sums are of all tenants: only the administrator can make them again.")
    return UsageRebuilt(sums=await deps.usage.rebuild())


@admin.get("/{request_id}", summary="Get one request", responses=problem_responses(UsageNotFound))
async def get_usage(request_id: PathId, deps: DepsDep, bound: TenantDep) -> UsageRecord:
    """Return one request by its `x-request-id`."""
    return await deps.usage.get(request_id, bound)


@own.get("", summary="List your requests")
async def list_own_usage(query: Annotated[OwnUsageQuery, Query()], deps: DepsDep, key: ReaderDep) -> Page[UsageRecord]:
    """List the requests of your key's tenant, newest first, with exact token counts."""
    rows = await deps.usage.page(_filter(query, key.tenant), limit=query.limit, after=query.after, order=query.order)
    return Page[UsageRecord].of(rows, query.limit)


@own.get("/summary", summary="Sum up your requests")
async def summarise_own_usage(
    query: Annotated[OwnSummaryQuery, Query()], deps: DepsDep, key: ReaderDep
) -> UsageSummary:
    """Return totals of a period of your key's tenant, and the same split, as `/admin/usage/summary` does."""
    return await deps.usage.summary(_filter(query, key.tenant), query.group_by)


@own.get("/trend", summary="Sum up your requests over time")
async def trend_of_own_usage(query: Annotated[OwnTrendQuery, Query()], deps: DepsDep, key: ReaderDep) -> UsageTrend:
    """Return usage and cost of your key's tenant over time, as `/admin/usage/trend` does."""
    return await _trend(query, _filter(query, key.tenant), deps)


@own.get("/export", summary="Write out your requests", response_class=StreamingResponse, responses=_WRITTEN)
async def export_own_usage(
    query: Annotated[OwnExportQuery, Query()], deps: DepsDep, key: ReaderDep
) -> StreamingResponse:
    """Return all matching records of your key's tenant, oldest first, as CSV or JSON lines. An answer that breaks off is not complete."""
    return await _written(deps.usage.pages(_filter(query, key.tenant)), query.format)


@own.get("/{request_id}", summary="Get one of your requests")
async def get_own_usage(request_id: PathId, deps: DepsDep, key: ReaderDep) -> UsageRecord:
    """Return one request of your key's tenant by its `x-request-id`."""
    return await deps.usage.get(request_id, key.tenant)


async def _written(pages: AsyncIterator[list[UsageRecord]], kind: ExportFormat) -> StreamingResponse:
    # The first page is read before the answer begins, so that a database that is away is a clear error.
    first: list[UsageRecord] = await anext(pages, [])

    async def parts() -> AsyncIterator[bytes]:
        yield head(kind) + lines(first, kind)
        async for page in pages:
            yield lines(page, kind)

    name = {"content-disposition": f'attachment; filename="usage.{kind}"'}
    return StreamingResponse(parts(), media_type=MEDIA_TYPES[kind], headers=name)


async def _trend(query: OwnTrendQuery, wanted: UsageFilter, deps: Deps) -> UsageTrend:
    since, until = trend_period(query.since, query.until, query.interval, deps.clock.now())
    check_trend(since, until, query.interval, query.groups if query.group_by else 1)
    points = await deps.usage.trend(replace(wanted, since=since), query.interval, query.group_by, query.groups)
    return UsageTrend(interval=query.interval, group_by=query.group_by, data=tuple(points))


def _asked(query: Which, bound: str | None) -> UsageFilter:
    return _filter(query, query.tenant if bound is None else bound, query.organization_id)


def _filter(query: OwnWhich, tenant: str | None, organization_id: str | None = None) -> UsageFilter:
    return UsageFilter(
        tenant=tenant,
        key_id=query.key_id,
        model=query.model,
        status=query.status,
        organization_id=organization_id,
        team_id=query.team_id,
        end_user=query.end_user,
        user_type=query.user_type,
        tag=query.tag,
        prompt=query.prompt,
        prompt_version=query.prompt_version,
        since=query.since,
        until=query.until,
    )
