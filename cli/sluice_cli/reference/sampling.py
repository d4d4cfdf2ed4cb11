"""How the next token is chosen from logits: greedy, temperature, top-k and top-p."""

import numpy as np

from sluice_cli.reference.attention import Floats, softmax


def probabilities(logits: Floats, *, temperature: float = 1.0, top_k: int | None = None, top_p: float = 1.0) -> Floats:
    """Return the distribution that the next token is drawn from; logits (vocabulary,), natural logarithms up to a constant.

    Temperature 0 is greedy: all on the largest, the first of equals (F033). Otherwise logits are divided by it (F034), all but the `top_k` largest are
    dropped (F035), then all behind the first whose sum reaches `top_p` (F036; Holtzman et al., "The Curious Case of Neural Text Degeneration", 2020),
    and what is left is scaled to 1. The order is that of vLLM and llama.cpp's default.

    Raises:
        ValueError: a value is outside of its range; the sentence names it.
    """
    if temperature < 0:
        raise ValueError(f"temperature is at least 0 (greedy), not {temperature}.")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k is how many tokens are kept: at least 1, not {top_k}.")
    if not 0 < top_p <= 1:
        raise ValueError(f"top_p is a share above 0 and at most 1, not {top_p}.")
    if temperature == 0:
        chosen = np.zeros_like(logits)
        chosen[int(np.argmax(logits))] = 1.0
        return chosen
    probability = softmax(logits / temperature)
    order = np.argsort(-probability, kind="stable")
    kept = order if top_k is None else order[:top_k]
    if top_p < 1:
        share = probability[kept] / probability[kept].sum()
        kept = kept[: int(np.searchsorted(np.cumsum(share), top_p)) + 1]
    left = np.zeros_like(probability)
    left[kept] = probability[kept]
    return np.asarray(left / left.sum())


def draw(probability: Floats, dice: np.random.Generator) -> int:
    """Draw a token: the first at which the running sum exceeds a number from [0, 1)."""
    sums = probability.cumsum()
    place = int(sums.searchsorted(dice.random() * sums[-1], side="right"))
    return place if place < len(sums) else int(np.flatnonzero(probability)[-1])  # rounding
