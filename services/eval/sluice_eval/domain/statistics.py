"""The few statistics of a report."""

import math
from collections.abc import Sequence

from sluice.contracts.evals import Interval

_Z_95 = 1.959963984540054


def wilson_interval(passed: int, total: int, z: float = _Z_95) -> Interval | None:
    """Return Wilson's score interval for a proportion (E. B. Wilson, 1927), or None without observations.

    Unlike the normal approximation it stays inside [0, 1] and is right for few observations and for rates near 0 or 1.
    """
    if total <= 0:
        return None
    rate = passed / total
    denominator = 1 + z * z / total
    centre = (rate + z * z / (2 * total)) / denominator
    half = z * math.sqrt(rate * (1 - rate) / total + z * z / (4 * total * total)) / denominator
    low = 0.0 if passed == 0 else max(0.0, centre - half)
    high = 1.0 if passed == total else min(1.0, centre + half)
    return Interval(low=low, high=high)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the nearest-rank percentile: the smallest value that at least `share` of all values do not exceed."""
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
