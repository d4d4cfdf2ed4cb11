"""Points for the worker: in the embedded mode this process is the only one that may open the index."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import orjson
from fastapi import APIRouter, Depends, Request, Response
from fastapi.routing import APIRoute

from sluice.auth import CallerDep
from sluice.errors import BadRequest, Forbidden, Unauthorized, problem_responses
from sluice_retrieval.domain.frames import CONTENT_TYPE, unpack_points
from sluice_retrieval.domain.wire import (
    PagePoints,
    PointCount,
    PointsPage,
    Rankings,
    SearchPoints,
    SelectPoints,
    UpsertPoints,
    WirePoint,
    WireScored,
)
from sluice_retrieval.wiring import WORKER_SUBJECT, DepsDep


async def require_worker(caller: CallerDep) -> None:
    """Let only retrieval's own worker in."""
    if caller.role != "service" or caller.subject != WORKER_SUBJECT:
        raise Forbidden("Only the retrieval worker may use this.")


class _Request(Request):
    async def json(self) -> Any:
        # most of a body are numbers, which the standard library reads four times as slowly
        return orjson.loads(await self.body())


class _Route(APIRoute):
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()

        async def handle(request: Request) -> Response:
            return await answer(_Request(request.scope, request.receive))

        return handle


_FRAME = {
    "requestBody": {"required": True, "content": {CONTENT_TYPE: {"schema": {"type": "string", "format": "binary"}}}}
}

router = APIRouter(
    route_class=_Route,
    prefix="/internal/points",
    tags=["internal"],
    dependencies=[Depends(require_worker)],
    responses=problem_responses(Unauthorized, Forbidden),
)


@router.put("", summary="Put points in place", openapi_extra=_FRAME, responses=problem_responses(BadRequest))
async def put_points(request: Request, deps: DepsDep) -> PointCount:
    """Put the points of a frame in place; answered when they survive a crash."""
    found = await asyncio.to_thread(unpack_points, await request.body())
    await (await deps.vectors_of(found.space)).upsert(found.points)
    return PointCount(count=len(found.points))


@router.post("", summary="Put points in place, as workers of earlier releases send them")
async def upsert(body: UpsertPoints, deps: DepsDep) -> PointCount:
    """Put points in place; answered when they survive a crash."""
    await (await deps.vectors_of(body.space)).upsert([point.point() for point in body.points])
    return PointCount(count=len(body.points))


@router.post("/delete", summary="Remove points")
async def delete(body: SelectPoints, deps: DepsDep) -> PointCount:
    """Remove points."""
    vectors = await deps.vectors_of(body.space)
    found = await vectors.count(body.selector())
    await vectors.delete(body.selector())
    return PointCount(count=found)


@router.post("/count", summary="Count points")
async def count(body: SelectPoints, deps: DepsDep) -> PointCount:
    """Count points."""
    return PointCount(count=await (await deps.vectors_of(body.space)).count(body.selector()))


@router.post("/page", summary="Read points")
async def page(body: PagePoints, deps: DepsDep) -> PointsPage:
    """Read points with their vectors, some at a time."""
    found = await (await deps.vectors_of(body.space)).page(body.selector(), body.after, body.limit)
    return PointsPage(points=tuple(WirePoint.of(point) for point in found.points), after=found.after)


@router.post("/search", summary="Rank points")
async def search(body: SearchPoints, deps: DepsDep) -> Rankings:
    """Rank points."""
    probes = [probe.probe() for probe in body.probes]
    vectors = await deps.vectors_of(body.space)
    rankings = await vectors.search(body.scope(), probes, body.limit, with_vectors=body.with_vectors)
    return Rankings(rankings=tuple(tuple(WireScored.of(item) for item in ranking) for ranking in rankings))
