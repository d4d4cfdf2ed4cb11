"""Capability: tools, JSON schemas and the like go to models that have them."""

from sluice.contracts.routing import Model, RouteRequest, SignalValue


def capability(model: Model, request: RouteRequest) -> SignalValue:
    """Say whether the model can do what the request asks; a model that lists nothing is asked for anything."""
    if model.capabilities is None:
        return SignalValue(signal="capability", value="the model does not say what it can do")
    missing = [name for name in request.capabilities if name not in model.capabilities]
    if missing:
        return SignalValue(signal="capability", value=f"it has no {', '.join(missing)}", against=True)
    return SignalValue(signal="capability", value=f"it has {', '.join(model.capabilities) or 'none'}")
