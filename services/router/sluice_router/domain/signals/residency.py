"""Residency: the request's data may go to some regions only (F092)."""

from sluice.contracts.routing import Deployment, RouteRequest, SignalValue


def residency(deployment: Deployment, request: RouteRequest) -> SignalValue:
    """Say whether the deployment is in an allowed region; one that does not say where it is never is."""
    if request.regions is None:
        return SignalValue(signal="residency", value="anywhere is allowed")
    if deployment.region in request.regions:
        return SignalValue(signal="residency", value=f"{deployment.region} is allowed")
    allowed = ", ".join(request.regions) or "none"
    place = f"it is in {deployment.region}" if deployment.region else "it does not say where it is"
    return SignalValue(signal="residency", value=f"{place}, allowed is {allowed}", against=True)
