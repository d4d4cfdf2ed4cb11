"""Kept answers: /admin/cache."""

from fastapi import APIRouter

from sluice.contracts.caching import CacheInvalidation, CacheStatistics, InvalidateCache
from sluice.errors import DependencyUnavailable, Forbidden, Unauthorized, problem_responses
from sluice_gateway.routes.admin import AdministratorDep, OperatorDep
from sluice_gateway.wiring import DepsDep

_HITS = ("l1", "l2", "l3", "semantic")
router = APIRouter(prefix="/admin/cache", tags=["cache"], responses=problem_responses(Unauthorized, Forbidden))


@router.get("", summary="What the cache holds")
async def cache_statistics(deps: DepsDep, _actor: AdministratorDep) -> CacheStatistics:
    """Return what this gateway process keeps in memory and how often it answered from it; the metrics have all processes."""
    caching, memory = deps.data_plane.caching, deps.answers.memory
    requests = caching.outcomes()
    hits = sum(count for outcome, count in requests.items() if outcome in _HITS)
    asked = hits + requests["partial"] + requests["miss"]
    return CacheStatistics(
        entries=len(memory),
        bytes=memory.bytes,
        requests=requests,
        hit_rate=hits / asked if asked else None,
        saved_usd=caching.saved_usd(),
    )


@router.post("/invalidations", summary="Forget kept answers", responses=problem_responses(DependencyUnavailable))
async def invalidate_cache(body: InvalidateCache, deps: DepsDep, actor: OperatorDep) -> CacheInvalidation:
    """Let kept answers of a tenant, a model or a key count no more, or all; an admin key may do so for its own tenant."""
    if actor.tenant is not None and body.tenant != actor.tenant:
        raise Forbidden("An admin key forgets the answers of its own tenant only; send its name as tenant.")
    return CacheInvalidation(scope=body.scope, at=await deps.invalidations.invalidate(body.scope))
