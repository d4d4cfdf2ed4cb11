"""Kept answers: /admin/cache."""

from fastapi import APIRouter

from sluice.contracts.caching import (
    CacheInvalidation,
    CacheStatistics,
    CacheThreshold,
    CacheThresholds,
    InvalidateCache,
)
from sluice.contracts.routing import SemanticCache
from sluice.errors import DependencyUnavailable, Forbidden, NotFound, Unauthorized, problem_responses
from sluice_gateway.adapters.tuning_samples import RedisSamples
from sluice_gateway.domain.threshold import tuned
from sluice_gateway.routes.admin import AdministratorDep, OperatorDep
from sluice_gateway.wiring import DepsDep


class NoThreshold(NotFound):
    """There is nothing that a threshold was learned from."""

    code = "threshold_not_found"


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


@router.get(
    "/thresholds", summary="Thresholds that tune themselves", responses=problem_responses(DependencyUnavailable)
)
async def cache_thresholds(deps: DepsDep, _actor: AdministratorDep) -> CacheThresholds:
    """Return, for each model and route of which there are samples, how near questions in other words have to be, and what was seen."""
    policies = await deps.cache_samples.policies()
    found = [await _threshold(deps.cache_samples, name, policy) for name, policy in sorted(policies.items())]
    return CacheThresholds(data=tuple(one for one in found if one is not None))


@router.delete(
    "/thresholds/{name:path}",
    status_code=204,
    summary="Forget what a threshold was learned from",
    responses=problem_responses(DependencyUnavailable, NoThreshold),
)
async def forget_threshold(name: str, deps: DepsDep, _actor: AdministratorDep) -> None:
    """Begin anew at the policy's own threshold, as after another model answers under the same name."""
    if not await deps.cache_samples.forget(name):
        raise NoThreshold(f"Nothing was learned of {name[:200]!r}. GET /admin/cache/thresholds lists what there is.")


async def _threshold(samples: RedisSamples, name: str, policy: SemanticCache) -> CacheThreshold | None:
    tuning, seen = policy.tune, await samples.get(name)
    if tuning is None or not seen:
        return None
    found = tuned(seen, policy)
    return CacheThreshold(
        name=name,
        threshold=found.threshold,
        own=policy.threshold,
        least=tuning.least,
        most=tuning.most,
        max_error=tuning.max_error,
        samples=len(seen),
        agreed=sum(one.agrees for one in seen),
        reaching=found.reaching,
        wrong=found.wrong,
        error=found.wrong / found.reaching if found.reaching else None,
    )


@router.post("/invalidations", summary="Forget kept answers", responses=problem_responses(DependencyUnavailable))
async def invalidate_cache(body: InvalidateCache, deps: DepsDep, actor: OperatorDep) -> CacheInvalidation:
    """Let kept answers of a tenant, a model or a key count no more, or all; an admin key may do so for its own tenant."""
    if actor.tenant is not None and body.tenant != actor.tenant:
        raise Forbidden("An admin key forgets the answers of its own tenant only; send its name as tenant.")
    return CacheInvalidation(scope=body.scope, at=await deps.invalidations.invalidate(body.scope))
