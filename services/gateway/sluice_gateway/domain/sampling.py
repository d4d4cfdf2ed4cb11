"""Sampling where several have a say."""

from sluice.contracts.sampling import SamplingPolicy


def tighter(one: SamplingPolicy | None, other: SamplingPolicy | None) -> SamplingPolicy | None:
    """Return what both say: the tighter limits, and for what a request leaves open what the first says, if it says anything."""
    if one is None or other is None:
        return one or other
    tokens = [most for most in (one.max_tokens, other.max_tokens) if most is not None]
    top_k = [most for most in (one.max_top_k, other.max_top_k) if most is not None]
    silent = (one.preset, one.temperature, one.top_p) == (None, None, None)
    leader = other if silent else one
    return SamplingPolicy(
        preset=leader.preset,
        temperature=leader.temperature,
        top_p=leader.top_p,
        min_temperature=max(one.min_temperature, other.min_temperature),
        max_temperature=min(one.max_temperature, other.max_temperature),
        min_top_p=max(one.min_top_p, other.min_top_p),
        max_top_p=min(one.max_top_p, other.max_top_p),
        max_top_k=min(top_k, default=None),
        max_tokens=min(tokens, default=None),
    )
