"""Decisions, what is in force, and training: /route and /v1."""

from typing import Annotated

from fastapi import APIRouter, Query

from sluice.auth import AdminDep, CallerDep
from sluice.contracts.routing import (
    ConfigStatus,
    DeploymentList,
    ModelList,
    ModelOfDeployment,
    ReloadReply,
    RouteDecision,
    RouteList,
    RouteRequest,
    RoutingSnapshot,
    TrainingReport,
)
from sluice.errors import DependencyUnavailable, Forbidden, SluiceError, Unauthorized, Unprocessable, problem_responses
from sluice.ids import new_id
from sluice.settings import ConfigError
from sluice_router.adapters import intents_file
from sluice_router.domain.choice import Load, decide, named
from sluice_router.domain.classify.reading import Reading
from sluice_router.domain.classify.report import report_of
from sluice_router.domain.errors import (
    ModelNotFound,
    ModelsFileError,
    NoDeployment,
    NothingSuits,
    ReloadRefused,
    TrainingRefused,
)
from sluice_router.wiring import DepsDep

router = APIRouter(tags=["router"], responses=problem_responses(Unauthorized, Forbidden))


@router.post(
    "/route",
    summary="Which model and deployment answers this request, and why?",
    responses=problem_responses(ModelNotFound, NoDeployment, NothingSuits, Unprocessable),
)
async def route(
    request: RouteRequest, deps: DepsDep, caller: CallerDep, *, explain: Annotated[bool, Query()] = False
) -> RouteDecision:
    """Choose for one request; with `explain` the answer lists every candidate with its reason and every signal's value."""
    asked = request.model_copy(
        update={"explain": request.explain or explain, "subject": request.subject or new_id("draw")}
    )
    try:
        snapshot = deps.publisher.current
        reading = await _reading(deps, snapshot, asked, caller.tenant)
        choice = decide(snapshot, asked, deps.loads.now(), reading)
    except SluiceError:
        deps.metrics.decisions.labels("refused").inc()
        raise
    deps.loads.decided(choice.decision.instance)
    deps.metrics.decisions.labels(choice.outcome).inc()
    for signal in choice.against:
        deps.metrics.signals.labels(signal).inc()
    if choice.assigned is not None and choice.decision.route is not None:
        result = "taken" if choice.decision.model == choice.assigned else "passed_over"
        deps.metrics.splits.labels(choice.decision.route, choice.assigned, result).inc()
    return choice.decision


async def _reading(deps: DepsDep, snapshot: RoutingSnapshot, request: RouteRequest, tenant: str) -> Reading | None:
    # Only a route with rules asks for the intent; all others pay nothing for it.
    asked = named(snapshot, request.model)
    if not any(route.name == asked and route.rules for route in snapshot.routes):
        return None
    reading = await deps.intents.read(request.text, tenant)
    deps.metrics.readings.labels(reading.outcome).inc()
    return reading


@router.post(
    "/v1/classifiers/intent/train",
    summary="Train the intent classifier from intents.yaml",
    responses=problem_responses(TrainingRefused, DependencyUnavailable),
)
async def train(deps: DepsDep, _: AdminDep) -> TrainingReport:
    """Train from the example utterances, use the result from now on, and say what it is worth on examples left out."""
    try:
        file = intents_file.load(deps.platform)
    except ConfigError as exc:
        raise TrainingRefused(exc.detail) from exc
    return report_of(*await deps.intents.train(file))


@router.get("/v1/snapshot", summary="The routing snapshot that the gateways hold")
async def read_snapshot(deps: DepsDep, _: AdminDep) -> RoutingSnapshot:
    """Return what is published, for gateways whose Redis is away."""
    return deps.publisher.current


@router.get("/v1/models", summary="All models")
async def list_models(deps: DepsDep, _: AdminDep) -> ModelList:
    """Return the models with their deployments."""
    return ModelList(data=deps.publisher.current.models)


@router.get("/v1/deployments", summary="All deployments with their health")
async def list_deployments(deps: DepsDep, _: AdminDep) -> DeploymentList:
    """Return every deployment and the model that it serves."""
    loads, idle = deps.loads.now(), Load()
    return DeploymentList(
        data=tuple(
            ModelOfDeployment(
                model=model.name, deployment=deployment, load=loads.get(deployment.id, idle).share(deployment)
            )
            for model in deps.publisher.current.models
            for deployment in model.deployments
        )
    )


@router.get("/v1/routes", summary="All routes")
async def list_routes(deps: DepsDep, _: AdminDep) -> RouteList:
    """Return the virtual models."""
    return RouteList(data=deps.publisher.current.routes)


@router.get("/v1/config", summary="Is models.yaml as it lies there in force?")
async def read_config(deps: DepsDep, _: AdminDep) -> ConfigStatus:
    """Return the file, since when it is in force, and why a later change of it is not."""
    return deps.file.status()


@router.post("/v1/reload", summary="Read models.yaml now", responses=problem_responses(ReloadRefused))
async def reload(deps: DepsDep, _: AdminDep) -> ReloadReply:
    """Take a changed file into force at once; a wrong one is refused and the old stays."""
    try:
        changed = deps.file.reload()
    except ModelsFileError as exc:
        raise ReloadRefused(exc.detail) from exc
    if changed:
        await deps.catalogue.learn(deps.live.current, deps.clock.now())
        await deps.prober.round()
    await deps.publisher.refresh()
    return ReloadReply(changed=changed, version=deps.publisher.current.version)
