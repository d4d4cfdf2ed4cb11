"""Whether counts come from a distribution: Pearson's χ² test."""

from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple


class ChiSquare(NamedTuple):
    """The statistic, its degrees of freedom, and how often a true distribution gives one as large or larger."""

    statistic: float
    freedom: int
    p_value: float


def chi_square(counts: Sequence[int], probabilities: Sequence[float]) -> ChiSquare:
    """Compare counts with the probabilities that they should follow; values that cannot come count as a statistic of infinity if they came.

    The p-value is Wilson and Hilferty's (1931): the cube root of χ²/k is nearly normal with mean 1 - 2/(9k) and variance 2/(9k).

    Raises:
        ValueError: there are fewer than two values that can come.
    """
    total = sum(counts)
    pairs = [(count, probability * total) for count, probability in zip(counts, probabilities, strict=True)]
    possible = [(count, expected) for count, expected in pairs if expected > 0]
    freedom = len(possible) - 1
    if freedom < 1:
        raise ValueError("A test needs at least two values that can come.")
    if any(count for count, expected in pairs if expected <= 0):
        return ChiSquare(float("inf"), freedom, 0.0)
    statistic = sum((count - expected) ** 2 / expected for count, expected in possible)
    spread = 2 / (9 * freedom)
    normal = ((statistic / freedom) ** (1 / 3) - (1 - spread)) / spread**0.5
    return ChiSquare(statistic, freedom, NormalDist().cdf(-normal))
