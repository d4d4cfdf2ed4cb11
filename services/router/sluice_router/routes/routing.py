"""Decisions, what is in force, and training: /route and /v1."""

from typing import Annotated

from fastapi import APIRouter, Query

from sluice.auth import AdminDep, CallerDep
from sluice.contracts.routing import RouteDecision, RouteRequest, RoutingSnapshot
from sluice.contracts.routing_lists import (
    ConfigStatus,
    DeploymentList,
    ModelList,
    ModelOfDeployment,
    ReloadReply,
    RouteList,
)
from sluice.contracts.training import DifficultyReport, DifficultyTraining, TrainingReport
from sluice.errors import DependencyUnavailable, Forbidden, SluiceError, Unauthorized, Unprocessable, problem_responses
from sluice.ids import new_id
from sluice.settings import ConfigError
from sluice_router.adapters import examples_file
from sluice_router.adapters.classifiers import ClassifierName
from sluice_router.domain.choice import Load, decide, named
from sluice_router.domain.classify.report import difficulty_report, report_of
from sluice_router.domain.errors import (
    ModelNotFound,
    ModelsFileError,
    NoDeployment,
    NothingSuits,
    ReloadRefused,
    TrainingRefused,
)
from sluice_router.domain.registry_admin import Trail
from sluice_router.routes.trails import TrailDep
from sluice_router.wiring import Deps, DepsDep

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
        asked = asked.model_copy(update={"model": named(snapshot, asked.model)})
        signs = await deps.reader.read(snapshot, asked, caller.tenant)
        choice = decide(snapshot, asked, deps.loads.now(), signs)
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


@router.post(
    "/v1/classifiers/intent/train",
    summary="Train the intent classifier from intents.yaml",
    responses=problem_responses(TrainingRefused, DependencyUnavailable),
)
async def train_intent(deps: DepsDep, trail: TrailDep) -> TrainingReport:
    """Train from the example utterances, use the result from now on, and say what it is worth on examples left out."""
    return await _trained(deps, trail, "intent", "intents.yaml")


@router.post(
    "/v1/classifiers/domain/train",
    summary="Train the domain classifier from domains.yaml",
    responses=problem_responses(TrainingRefused, DependencyUnavailable),
)
async def train_domain(deps: DepsDep, trail: TrailDep) -> TrainingReport:
    """Train from the example texts, use the result from now on, and say what it is worth on examples left out."""
    return await _trained(deps, trail, "domain", "domains.yaml")


@router.post(
    "/v1/classifiers/difficulty/train",
    summary="Train the difficulty classifier from answers of a weaker and a stronger model",
    responses=problem_responses(TrainingRefused, DependencyUnavailable),
)
async def train_difficulty(body: DifficultyTraining, deps: DepsDep, trail: TrailDep) -> DifficultyReport:
    """Train from prompts with the qualities of both models' answers, use the result from now on, and say what it is worth."""
    many = body.examples
    kept = await deps.classifiers.train_difficulty(
        [one.text for one in many], [one.weak for one in many], [one.strong for one in many], trail
    )
    return difficulty_report(kept.trained, kept.sha256, [one.weak for one in many], [one.strong for one in many])


async def _trained(deps: Deps, trail: Trail, name: ClassifierName, filename: str) -> TrainingReport:
    try:
        file = examples_file.load(deps.platform, filename)
    except ConfigError as exc:
        raise TrainingRefused(exc.detail) from exc
    kept = await deps.classifiers.train_classes(name, file.classes, file.out_of_scope, trail, file.rejected_share)
    return report_of(kept.trained, kept.sha256, name)


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
        await deps.lister.round()
        await deps.catalogue.learn(deps.lister.unfolded().config, deps.clock.now())
        await deps.prober.round()
    await deps.publisher.refresh()
    return ReloadReply(changed=changed, version=deps.publisher.current.version)
