"""The REST API of the inference service: engines and capacity."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path, Query

from sluice.auth import AdminDep, CallerDep
from sluice.contracts.engine import (
    AdapterList,
    AdapterLoad,
    AdapterName,
    AdapterStatus,
    Capacity,
    EngineList,
    EngineLog,
    EngineStatus,
    ScalingSignals,
)
from sluice.errors import DependencyUnavailable, Forbidden, Unauthorized, Unprocessable, problem_responses
from sluice_inference.domain.capacity import capacity_of
from sluice_inference.domain.errors import (
    AdapterNotFound,
    AdapterRefused,
    EngineFailed,
    EngineNotFound,
    EngineNotOurs,
    ScalingGroupNotFound,
)
from sluice_inference.wiring import DepsDep

router = APIRouter(tags=["engines"])
EngineIdPath = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$", description="id of engines.yaml")]
GroupPath = Annotated[
    str, Path(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$", description="name of a scaling group of engines.yaml")
]
_READ = problem_responses(Unauthorized)
_ONE = problem_responses(Unauthorized, EngineNotFound, Unprocessable)
_LOAD = problem_responses(Unauthorized, Forbidden, AdapterRefused, EngineFailed)
_UNLOAD = problem_responses(Unauthorized, Forbidden, AdapterNotFound, EngineFailed, Unprocessable)
_SCALING = problem_responses(Unauthorized, ScalingGroupNotFound, DependencyUnavailable, Unprocessable)
_CHANGE = problem_responses(Unauthorized, Forbidden, EngineNotFound, EngineNotOurs, Unprocessable)


@router.get("/v1/engines", summary="List the engines of this host", responses=_READ)
async def list_engines(deps: DepsDep, caller: CallerDep) -> EngineList:
    """Return every engine with its state, its load and its measured speed."""
    return EngineList(data=tuple(keeper.status() for keeper in deps.engines.keepers.values()))


@router.get("/v1/engines/{engine_id}", summary="Look at one engine", responses=_ONE)
async def get_engine(deps: DepsDep, caller: CallerDep, engine_id: EngineIdPath) -> EngineStatus:
    """Return one engine."""
    return deps.engines.get(engine_id).status()


@router.post("/v1/engines/{engine_id}/start", status_code=202, summary="Start an engine", responses=_CHANGE)
async def start_engine(deps: DepsDep, caller: AdminDep, engine_id: EngineIdPath) -> EngineStatus:
    """Start an engine that was stopped, or try a failed one again now."""
    keeper = deps.engines.get(engine_id)
    keeper.start()
    return keeper.status()


@router.post("/v1/engines/{engine_id}/stop", status_code=202, summary="Stop an engine", responses=_CHANGE)
async def stop_engine(deps: DepsDep, caller: AdminDep, engine_id: EngineIdPath) -> EngineStatus:
    """Let an engine finish what it is doing, then stop it; it stays stopped until it is started."""
    keeper = deps.engines.get(engine_id)
    keeper.stop()
    return keeper.status()


@router.post("/v1/engines/{engine_id}/restart", status_code=202, summary="Restart an engine", responses=_CHANGE)
async def restart_engine(deps: DepsDep, caller: AdminDep, engine_id: EngineIdPath) -> EngineStatus:
    """Let an engine finish what it is doing, then start it again; earlier failures are forgotten."""
    keeper = deps.engines.get(engine_id)
    keeper.restart()
    return keeper.status()


@router.get("/v1/engines/{engine_id}/logs", summary="Read the end of an engine's log", responses=_CHANGE)
async def get_engine_log(
    deps: DepsDep,
    caller: AdminDep,
    engine_id: EngineIdPath,
    lines: Annotated[int, Query(ge=1, le=1000, description="how many lines from the end")] = 100,
) -> EngineLog:
    """Return the last lines of the engine's log, at most 64 KiB of them."""
    return EngineLog(id=engine_id, lines=await asyncio.to_thread(deps.engines.get(engine_id).log, lines))


@router.get("/v1/adapters", summary="List the LoRA adapters of this host", responses=_READ)
async def list_adapters(deps: DepsDep, caller: CallerDep) -> AdapterList:
    """Return every adapter with the engines that hold it."""
    return deps.fleet.listed()


@router.post("/v1/adapters", status_code=201, summary="Load a LoRA adapter", responses=_LOAD)
async def load_adapter(deps: DepsDep, caller: AdminDep, wanted: AdapterLoad) -> AdapterStatus:
    """Load an adapter on every engine that serves its model; the router offers it as a model of its own a second later.

    Where an engine is full, the adapter that was used longest ago makes room (`evicted`). If one engine refuses, all hold what they held before.
    """
    return await deps.fleet.load(wanted)


@router.delete("/v1/adapters/{name:path}", status_code=204, summary="Unload a LoRA adapter", responses=_UNLOAD)
async def unload_adapter(deps: DepsDep, caller: AdminDep, name: AdapterName) -> None:
    """Unload an adapter from every engine; requests that run with it end first."""
    await deps.fleet.unload(name)


@router.get("/v1/capacity", summary="What this host can take on", responses=_READ)
async def get_capacity(deps: DepsDep, caller: CallerDep) -> Capacity:
    """Return slots, load and memory, summed over the engines that are ready."""
    statuses = [keeper.status() for keeper in deps.engines.keepers.values()]
    return capacity_of(statuses, deps.host())


@router.get("/v1/scaling/{name}", summary="What an autoscaler needs to know of a group of replicas", responses=_SCALING)
async def get_scaling_signals(deps: DepsDep, caller: CallerDep, name: GroupPath) -> ScalingSignals:
    """Return queue, KV cache use and time to the first token of all replicas of a group, for KEDA's `metrics-api` scaler and others that read JSON."""
    return await deps.scaling.signals(name)
