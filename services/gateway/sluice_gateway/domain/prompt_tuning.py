"""How the weights of a split between versions of a prompt follow what was measured of them.

Two rules, each for what it is good at. Weights follow the probability that a version is the best (randomized probability matching:
Scott, A modern Bayesian look at the multi-armed bandit, 2010), which sends few requests to poor versions. Versions are dropped, and one is
promoted, by successive elimination (Even-Dar, Mannor, Mansour 2006) over confidence sequences, which hold at all looks together: weights
and a fixed level of significance alone would call one of two equal versions the better one sooner or later.
"""

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Literal, NamedTuple

from sluice.contracts.prompts import (
    PromptEvidence,
    PromptObjective,
    PromptShare,
    PromptSplit,
    PromptSplitState,
    PromptTuning,
)

TUNING = "tuning"
"""Who changes a split when it tunes itself."""
LOWER_IS_BETTER: frozenset[PromptObjective] = frozenset({"cost", "latency"})
_NORMAL = NormalDist()
_POINTS = tuple(_NORMAL.inv_cdf((place + 0.5) / 200) for place in range(200))
_LEAST_MOVE = 0.0005


class Seen(NamedTuple):
    """Outcomes of one version: how many, their mean and variance, in the objective's unit."""

    size: int
    mean: float
    variance: float


class Measured(NamedTuple):
    """What was measured of a split: outcomes by version, and of their form; `missing` says why nothing is known."""

    objective: Mapping[int, Seen]
    form: Mapping[int, Seen]
    missing: str | None = None


class TunedSplit(NamedTuple):
    """A split that tunes itself, as it was read, and when it was last changed (unix seconds)."""

    tenant: str
    state: PromptSplitState
    changed_at: int


class Verdict(NamedTuple):
    """What follows: `wait` for more outcomes, `hold` the weights, `tune` them, or `promote` the only version that is left."""

    does: Literal["wait", "hold", "tune", "promote"]
    why: str
    evidence: tuple[PromptEvidence, ...] = ()
    shares: tuple[PromptShare, ...] = ()
    winner: int | None = None


class _Interval(NamedTuple):
    low: float
    high: float


def of_scores(count: int, total: float) -> Seen:
    """Return outcomes that lie between 0 and 1 and sum up to `total`.

    The variance is that of yes and no with this mean, which no outcomes between 0 and 1 exceed, with one of each added so that it is
    never 0 (Agresti and Coull 1998).
    """
    smooth = (total + 1) / (count + 2)
    return Seen(count, total / count if count else 0.0, smooth * (1 - smooth))


def of_sums(count: int, total: float, squares: float) -> Seen:
    """Return outcomes of which the sum and the sum of squares are known."""
    if count < 2:
        return Seen(count, total if count else 0.0, 0.0)
    mean = total / count
    return Seen(count, mean, max(0.0, (squares - count * mean * mean) / (count - 1)))


def judged(split: PromptSplit, tuning: PromptTuning, measured: Measured) -> Verdict:
    """Return what the tuning does with a split; asks no clock and draws no dice, so that the same outcomes give the same answer."""
    if measured.missing is not None:
        return Verdict("wait", f"Nothing is known of the outcomes: {measured.missing}")
    versions = [share.version for share in split.shares]
    seen = {version: measured.objective.get(version, Seen(0, 0.0, 0.0)) for version in versions}
    form = {} if tuning.objective == "validity" else {v: measured.form[v] for v in versions if v in measured.form}
    alpha = (1 - tuning.confidence) / len(versions) / (1 if tuning.objective == "validity" else 2)
    signed = {version: _signed(one, tuning.objective) for version, one in seen.items()}
    bounds = {v: _interval(one, alpha, tuning.min_samples) for v, one in signed.items() if one.size}
    enough = [version for version in versions if seen[version].size >= tuning.min_samples]
    dropped = _worse(
        {v: _interval(one, alpha, tuning.min_samples) for v, one in form.items() if one.size >= tuning.min_samples},
        "Its answers have the demanded form less often than those of version {}.",
    )
    left = {version: bounds[version] for version in enough if version not in dropped}
    dropped |= _worse(left, "It is worse than version {}.")
    alive = [version for version in versions if version not in dropped]
    best = _probabilities({version: signed[version] for version in alive}) if set(alive) <= set(enough) else {}
    evidence = tuple(_evidence(v, seen[v], bounds.get(v), best.get(v), dropped.get(v), tuning) for v in versions)
    short = [version for version in alive if version not in enough]
    if short and len(alive) > 1:
        counts = ", ".join(f"version {version} has {seen[version].size}" for version in short)
        return Verdict("wait", f"{tuning.min_samples} outcomes of every version are needed; {counts}.", evidence)
    if len(alive) == 1:
        sure = f"Version {alive[0]} is the only one left at {tuning.confidence:.1%} confidence."
        if tuning.promote:
            return Verdict("promote", sure, evidence, winner=alive[0])
        best, why = {alive[0]: 1.0}, f"{sure} It is not put in use, since `promote` is off."
    else:
        leader = max(alive, key=lambda version: best[version])
        why = f"Version {leader} is the best with a probability of {best[leader]:.1%}."
    shares = _moved(split, tuning, best)
    return Verdict("hold", why, evidence) if shares is None else Verdict("tune", why, evidence, shares)


def _signed(seen: Seen, objective: PromptObjective) -> Seen:
    return seen._replace(mean=-seen.mean) if objective in LOWER_IS_BETTER else seen


def _interval(seen: Seen, alpha: float, sharp_at: int) -> _Interval:
    # The asymptotic confidence sequence of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (Time-uniform central limit theory, 2024),
    # with the mixture's parameter such that it is sharpest where decisions begin. It holds for all counts of outcomes at once.
    count = seen.size
    rho2 = (-2 * math.log(alpha) + math.log(-2 * math.log(alpha) + 1)) / sharp_at
    grown = count * rho2 + 1
    half = math.sqrt(seen.variance * 2 * grown / (count * count * rho2) * math.log(math.sqrt(grown) / alpha))
    return _Interval(seen.mean - half, seen.mean + half)


def _worse(bounds: Mapping[int, _Interval], why: str) -> dict[int, str]:
    if not bounds:
        return {}
    best = max(bounds, key=lambda version: bounds[version].low)
    return {version: why.format(best) for version, one in bounds.items() if one.high < bounds[best].low}


def _probabilities(seen: Mapping[int, Seen]) -> dict[int, float]:
    # The mean of each version as a normal posterior; the probability that one is the greatest, summed over 200 quantiles of it.
    spread = {version: math.sqrt(one.variance / one.size) for version, one in seen.items()}

    def below(version: int, value: float) -> float:
        away = value - seen[version].mean
        if spread[version] == 0:
            return 0.5 if away == 0 else float(away > 0)
        return _NORMAL.cdf(away / spread[version])

    def greatest(version: int) -> float:
        values = (seen[version].mean + spread[version] * point for point in _POINTS)
        others = [other for other in seen if other != version]
        return sum(math.prod(below(other, value) for other in others) for value in values)

    found = {version: greatest(version) for version in seen}
    whole = sum(found.values())
    return {version: one / whole for version, one in found.items()}


def _moved(split: PromptSplit, tuning: PromptTuning, best: Mapping[int, float]) -> tuple[PromptShare, ...] | None:
    whole = sum(share.weight for share in split.shares)
    now = {share.version: share.weight / whole for share in split.shares}
    free = 1 - tuning.floor * len(now)
    away = {version: tuning.floor + free * best.get(version, 0.0) - share for version, share in now.items()}
    furthest = max(map(abs, away.values()))
    if furthest < _LEAST_MOVE:
        return None
    part = min(1.0, tuning.max_step / furthest)
    return tuple(
        PromptShare(version=version, weight=round(100 * (share + part * away[version]), 2))
        for version, share in now.items()
    )


def _evidence(
    version: int,
    seen: Seen,
    bounds: _Interval | None,
    best: float | None,
    dropped: str | None,
    tuning: PromptTuning,
) -> PromptEvidence:
    ends: Sequence[float | None] = (None, None)
    if bounds is not None:
        ends = (-bounds.high, -bounds.low) if tuning.objective in LOWER_IS_BETTER else bounds
    return PromptEvidence(
        version=version,
        outcomes=seen.size,
        mean=seen.mean if seen.size else None,
        low=ends[0],
        high=ends[1],
        best=best,
        dropped=dropped,
    )
