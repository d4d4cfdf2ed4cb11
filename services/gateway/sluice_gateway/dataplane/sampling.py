"""Sampling: presets for what a request leaves open, and a policy's limits on what it says."""

from sluice.contracts.sampling import SamplingPolicy, SamplingPreset
from sluice_gateway.dataplane.body import Fields
from sluice_gateway.dataplane.errors import InvalidRequest

# OpenAI's own two for every engine; a preset draws from the most likely tokens that together have `top_p` of the probability.
PRESETS: dict[SamplingPreset, dict[str, float]] = {
    "greedy": {"temperature": 0.0},
    "factual": {"temperature": 0.2, "top_p": 0.7},
    "creative": {"temperature": 1.0, "top_p": 0.95},
}
_TOKENS = ("max_completion_tokens", "max_tokens")


def sampled(
    fields: Fields, policy: SamplingPolicy | None, asked: SamplingPreset | None, *, alone: bool = False
) -> Fields:
    """Return a request's fields with the values of a preset, or of the policy, where it says none; the caller's preset goes first.

    Such a value outside of the policy's limits becomes the nearest one inside. `alone` says that the provider takes a temperature or `top_p`,
    not both.

    Raises:
        InvalidRequest: the request says something outside of the limits.
    """
    limits = policy or SamplingPolicy()
    open_to = PRESETS[asked] if asked is not None else _left_open(limits)
    out = dict(fields)
    bounds = {
        "temperature": (limits.min_temperature, limits.max_temperature),
        "top_p": (limits.min_top_p, limits.max_top_p),
    }
    for name, (low, high) in bounds.items():
        value = fields.get(name)
        if value is not None and not low <= value <= high:
            raise _outside(name, f"from {low:g} to {high:g}")
        if value is None and name in open_to and not (alone and name == "top_p" and "temperature" in out):
            out[name] = min(max(open_to[name], low), high)
    top_k = fields.get("top_k")
    if limits.max_top_k is not None and isinstance(top_k, int) and not 1 <= top_k <= limits.max_top_k:
        raise _outside("top_k", f"from 1 to {limits.max_top_k}")
    return out if limits.max_tokens is None else _bounded(out, limits.max_tokens)


def _left_open(policy: SamplingPolicy) -> dict[str, float]:
    said = {"temperature": policy.temperature, "top_p": policy.top_p}
    preset = PRESETS[policy.preset] if policy.preset is not None else {}
    return preset | {name: value for name, value in said.items() if value is not None}


def _bounded(out: Fields, most: int) -> Fields:
    said = next((name for name in _TOKENS if out.get(name) is not None), None)
    if said is None:
        return {**out, "max_tokens": most}
    if out[said] > most:
        raise _outside(said, f"at most {most}")
    return out


def _outside(name: str, rule: str) -> InvalidRequest:
    return InvalidRequest(
        f"`{name}` must be {rule} here: the policy of this model, route or API key says so. Change it, or leave it out.",
        param=name,
        code="invalid_value",
    )
