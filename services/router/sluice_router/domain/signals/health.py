"""Health: what is down is passed over, what was seen up comes first."""

from sluice.contracts.routing import Deployment, SignalValue


def health(deployment: Deployment) -> SignalValue:
    """Say what the last probes found."""
    if deployment.health == "down":
        reason = deployment.health_reason or "no reason known"
        return SignalValue(signal="health", value=f"it is down ({reason})", against=True)
    return SignalValue(signal="health", value="up" if deployment.health == "up" else "not probed yet")
