"""Embedding models, and how far a change from one to another is."""

from fastapi import APIRouter

from sluice.auth import Caller, CallerDep
from sluice.contracts.embeddings import EmbeddingModel, EmbeddingModels
from sluice.errors import DependencyUnavailable, Unauthorized, problem_responses
from sluice_retrieval.domain.spaces import SpaceState, model_in, space_of
from sluice_retrieval.wiring import DepsDep

router = APIRouter(
    prefix="/v1/embedding_models", tags=["embeddings"], responses=problem_responses(Unauthorized, DependencyUnavailable)
)


@router.get("", summary="List embedding models")
async def list_models(caller: CallerDep, deps: DepsDep) -> EmbeddingModels:
    """List the models of `POST /v1/embeddings`: whose vectors answer searches, and how far a change to another model is."""
    await deps.answering.look()  # what is said to be active answers from now on
    states = {state.id: state for state in await deps.space_records.states()}
    configured = {space_of(name, model.dimensions): None for name, model in deps.models.all().items()}
    return EmbeddingModels(data=tuple(_shown(one, states.get(one), caller) for one in {**states, **configured}))


def _shown(space: str, state: SpaceState | None, caller: Caller) -> EmbeddingModel:
    name, dimensions = model_in(space)
    if state is None:
        return EmbeddingModel(id=name, dimensions=dimensions, status="available")
    shown = EmbeddingModel(
        id=name,
        dimensions=dimensions,
        status=state.status,
        since=int(state.since) or None,
        progress=1.0 if state.of == 0 else state.documents / state.of,
    )
    if caller.role == "member":
        return shown
    return shown.model_copy(update={"documents": state.documents, "documents_total": state.of, "error": state.error})
