"""How near questions have to be, learned from pairs of answers: whether the kept answer and the model's own one agree."""

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

from sluice.contracts.routing import SemanticCache

STEP = 0.005
ENOUGH = 20
_Z = 1.645  # one-sided 95 %
_NUMBER = re.compile(r"\d+")


class Sample(NamedTuple):
    """A question that had the answer to one in other words and was answered by the model as well: the cosine of both questions, and whether the answers agree."""

    similarity: float
    agrees: bool


class Tuned(NamedTuple):
    """A threshold, and what speaks for it: samples that reach it, and those among them whose answers did not agree."""

    threshold: float
    reaching: int = 0
    wrong: int = 0


def tuned(samples: Sequence[Sample], policy: SemanticCache) -> Tuned:
    """Return the lowest threshold at which the share of wrong answers is known to be within the policy's bound.

    Known means that the upper end of Wilson's interval (one-sided 95 %, Wilson 1927) is within it; with no wrong answer at 5 % that takes 52 samples. While
    no threshold is known to be right the policy's own one stands, unless at least twenty samples that reach it err more often than the bound: then the lowest
    higher one that did not counts, and the highest if all did.
    """
    tuning = policy.tune
    if tuning is None:
        return Tuned(policy.threshold)
    steps = math.floor((tuning.most - tuning.least) / STEP + 1e-9)
    grid = [_at(tuning.least + STEP * step, samples) for step in range(steps + 1)]
    for found in grid:
        if found.reaching and _most_wrong(found) <= tuning.max_error:
            return found
    own = _at(policy.threshold, samples)
    if own.reaching < ENOUGH or own.wrong <= tuning.max_error * own.reaching:
        return own
    higher = [one for one in grid if one.threshold > policy.threshold]
    return next(
        (one for one in higher if one.reaching and one.wrong <= tuning.max_error * one.reaching),
        _at(tuning.most, samples),
    )


def same_numbers(one: str, other: str) -> bool:
    """Tell whether two answers name the same whole numbers: embeddings hardly tell $50 from $60."""
    return set(_NUMBER.findall(one)) == set(_NUMBER.findall(other))


def _at(threshold: float, samples: Sequence[Sample]) -> Tuned:
    reaching = [one for one in samples if one.similarity >= threshold]
    return Tuned(round(threshold, 4), len(reaching), sum(not one.agrees for one in reaching))


def _most_wrong(found: Tuned) -> float:
    n, share, z2 = found.reaching, found.wrong / found.reaching, _Z * _Z
    spread = _Z * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return (share + z2 / (2 * n) + spread) / (1 + z2 / n)
