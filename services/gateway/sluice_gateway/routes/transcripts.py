"""Transcripts: /admin/transcripts."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from sluice.contracts.base import Request
from sluice.contracts.gateway import ModelName, Tenant
from sluice.contracts.paging import Page, PageQuery
from sluice.contracts.transcripts import Transcript, TranscriptsDeleted
from sluice.contracts.usage import UsageStatus
from sluice.errors import DependencyUnavailable, Forbidden, Unauthorized, problem_responses
from sluice_gateway.domain.errors import CursorUnknown, FilterMissing, TranscriptNotFound
from sluice_gateway.domain.transcripts import TranscriptFilter
from sluice_gateway.routes.admin import OperatorDep, OperatorsTrailDep, PathId
from sluice_gateway.routes.usage import At, EndUser, KeyId, TeamId
from sluice_gateway.wiring import DepsDep

router = APIRouter(
    prefix="/admin/transcripts",
    tags=["transcripts"],
    responses=problem_responses(Unauthorized, Forbidden, DependencyUnavailable),
)


class Which(Request):
    """Which transcripts are meant; `from` is included, `to` is not."""

    tenant: Tenant | None = None
    key_id: KeyId | None = None
    team_id: TeamId | None = None
    end_user: EndUser | None = None
    model: ModelName | None = None
    status: UsageStatus | None = None
    request_id: KeyId | None = Field(None, description="id of a request")
    since: At | None = Field(None, alias="from")
    until: At | None = Field(None, alias="to")


class TranscriptQuery(Which, PageQuery):
    """Which transcripts are wanted; `from` is included, `to` is not."""


@router.get("", summary="List transcripts", responses=problem_responses(CursorUnknown))
async def list_transcripts(
    query: Annotated[TranscriptQuery, Query()], deps: DepsDep, actor: OperatorDep
) -> Page[Transcript]:
    """List transcripts, newest first, without what was said; an admin key sees those of its organisation."""
    rows = await deps.transcripts.page(
        _filter(query, actor.tenant), deps.clock.now(), limit=query.limit, after=query.after, order=query.order
    )
    return Page[Transcript].of(rows, query.limit)


@router.delete("", summary="Delete transcripts", responses=problem_responses(FilterMissing))
async def delete_transcripts(
    query: Annotated[Which, Query()], deps: DepsDep, trail: OperatorsTrailDep
) -> TranscriptsDeleted:
    """Delete all transcripts that match, such as those of an end user; at least one filter is needed. The audit log says so."""
    if not query.model_fields_set:
        raise FilterMissing(
            "Say which transcripts: `tenant`, `key_id`, `end_user`, `request_id`, `to` or another filter."
        )
    return TranscriptsDeleted(deleted=await deps.transcripts.delete(_filter(query, trail.actor.tenant), trail))


@router.get("/{transcript_id}", summary="Get one transcript", responses=problem_responses(TranscriptNotFound))
async def get_transcript(transcript_id: PathId, deps: DepsDep, actor: OperatorDep) -> Transcript:
    """Return what was asked and answered, by the transcript's id or its request's `x-request-id`."""
    return await deps.transcripts.get(transcript_id, actor.tenant, deps.clock.now())


def _filter(query: Which, bound: str | None) -> TranscriptFilter:
    return TranscriptFilter(
        tenant=query.tenant if bound is None else bound,
        key_id=query.key_id,
        team_id=query.team_id,
        end_user=query.end_user,
        model=query.model,
        status=query.status,
        request_id=query.request_id,
        since=query.since,
        until=query.until,
    )
