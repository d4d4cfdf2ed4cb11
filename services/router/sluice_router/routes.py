"""The router's REST API."""

from fastapi import APIRouter

from sluice.auth import AdminDep, CallerDep
from sluice.contracts.routing import (
    DeploymentList,
    ModelList,
    ModelOfDeployment,
    ReloadReply,
    RouteDecision,
    RouteList,
    RouteRequest,
    RoutingSnapshot,
)
from sluice.errors import SluiceError, Unauthorized, problem_responses
from sluice_router.domain.choice import decide
from sluice_router.domain.errors import ContextTooLong, ModelNotFound, ModelsFileError, NoDeployment
from sluice_router.wiring import DepsDep

router = APIRouter(tags=["router"], responses=problem_responses(Unauthorized))


@router.post(
    "/route",
    summary="Which model and deployment answers this request, and why?",
    responses=problem_responses(ContextTooLong, ModelNotFound, NoDeployment),
)
async def route(request: RouteRequest, deps: DepsDep, _: CallerDep) -> RouteDecision:
    """Choose for one request; with `explain` the answer lists every candidate with its reason."""
    try:
        decision = decide(deps.publisher.current, request, deps.loads.now())
    except SluiceError:
        deps.metrics.decisions.labels("refused").inc()
        raise
    deps.loads.decided(decision.instance)
    kind = decision.reason.split(":")[0].replace(" ", "_")
    deps.metrics.decisions.labels(kind if kind in ("fallback", "last_resort") else "candidate").inc()
    return decision


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
    return DeploymentList(
        data=tuple(
            ModelOfDeployment(model=model.name, deployment=deployment)
            for model in deps.publisher.current.models
            for deployment in model.deployments
        )
    )


@router.get("/v1/routes", summary="All routes")
async def list_routes(deps: DepsDep, _: AdminDep) -> RouteList:
    """Return the virtual models."""
    return RouteList(data=deps.publisher.current.routes)


@router.post("/v1/reload", summary="Read models.yaml now", responses=problem_responses(ModelsFileError))
async def reload(deps: DepsDep, _: AdminDep) -> ReloadReply:
    """Take a changed file into force at once; a wrong one is refused and the old stays."""
    changed = deps.file.reload()
    if changed:
        await deps.prober.round()
        await deps.publisher.refresh()
    return ReloadReply(changed=changed, version=deps.publisher.current.version)
