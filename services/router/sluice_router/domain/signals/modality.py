"""Modality: images, sound and files go to models that take them."""

from sluice.contracts.routing import Model, RouteRequest, SignalValue


def modality(model: Model, request: RouteRequest) -> SignalValue:
    """Say whether the model takes what the request holds; a model that lists nothing is asked for anything."""
    if model.input_modalities is None:
        return SignalValue(signal="modality", value="the model does not say what it takes")
    missing = [name for name in request.modalities if name not in model.input_modalities]
    if missing:
        return SignalValue(signal="modality", value=f"it does not take {', '.join(missing)}", against=True)
    return SignalValue(signal="modality", value=f"it takes {', '.join(model.input_modalities)}")
