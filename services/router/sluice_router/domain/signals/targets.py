"""Targets: what a route's answers should cost, and how long they should take.

Both are as far as known: a deployment of which nothing is known, or which is all that is left, is taken all the same.
"""

import math

from sluice.contracts.routing import SignalValue
from sluice.contracts.targets import Targets
from sluice_router.domain.signals.cost import ANSWER_TOKENS, shown_cost


def cost(targets: Targets | None, dollars: float) -> SignalValue:
    """Say what the request will cost, and whether that is above the route's target."""
    if targets is not None and targets.cost is not None and targets.cost < dollars < math.inf:
        said = f"it costs more than the route's target of ${targets.cost:g} ({shown_cost(dollars)})"
        return SignalValue(signal="cost", value=said, against=True)
    if not math.isfinite(dollars):
        return SignalValue(signal="cost", value="not known: the model has no price")
    if not math.isfinite(dollars):
        return SignalValue(signal="cost", value="not known: the model has no price")
    return SignalValue(signal="cost", value=f"{shown_cost(dollars)} with {ANSWER_TOKENS} tokens of answer")


def latency(targets: Targets | None, seconds: float | None) -> SignalValue:
    """Say how long nine in ten of the deployment's latest requests took at most, and whether that is above the route's target."""
    if seconds is None:
        return SignalValue(signal="latency", value="not known")
    if targets is not None and targets.latency_s is not None and seconds > targets.latency_s:
        said = f"it is slower than the route's target of {targets.latency_s:g} s (nine in ten within {seconds:.2f} s)"
        return SignalValue(signal="latency", value=said, against=True)
    return SignalValue(signal="latency", value=f"nine in ten within {seconds:.2f} s")
