"""Speculative decoding: a small model guesses ahead, the large one checks, and the answer's distribution stays the large one's."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from sluice_cli.reference.attention import Floats
from sluice_cli.reference.sampling import draw

NextToken = Callable[[Sequence[int]], Floats]
"""From the tokens so far to the probabilities (vocabulary,) of the next one."""


class Step(NamedTuple):
    """What one step brought: the tokens, and how many of them the draft model had guessed."""

    tokens: list[int]
    accepted: int


def speculate(
    target: NextToken, draft: NextToken, so_far: Sequence[int], guesses: int, dice: np.random.Generator
) -> Step:
    """Guess `guesses` tokens with `draft`, and keep those that `target` allows (F250, corrected).

    A guess x is kept with probability min(1, p(x) / q(x)), p the target's and q the draft's probability (not their logits). The first that is not kept
    is drawn anew from max(0, p - q) scaled to 1, and the rest is dropped; if all are kept, one more token is drawn from p. So a step brings at least 1
    and at most `guesses` + 1 tokens, each distributed as the target's: Leviathan et al., "Fast Inference from Transformers via Speculative Decoding"
    (2023), algorithm 1 and appendix A.1.

    Raises:
        ValueError: there is nothing to guess.
    """
    if guesses < 1:
        raise ValueError("guesses is how many tokens the draft model runs ahead: at least 1.")
    guessed: list[int] = []
    odds: list[Floats] = []
    for _ in range(guesses):
        odds.append(draft([*so_far, *guessed]))
        guessed.append(draw(odds[-1], dice))
    # one pass of the target gives all of these at once
    wanted = [target([*so_far, *guessed[:count]]) for count in range(guesses + 1)]
    for count, (token, p, q) in enumerate(zip(guessed, wanted, odds, strict=False)):
        if dice.random() * q[token] >= p[token]:
            left = np.maximum(0.0, p - q)
            # all zero only if p and q differ by rounding
            return Step([*guessed[:count], draw(left if left.any() else p, dice)], count)
    return Step([*guessed, draw(wanted[-1], dice)], guesses)


def acceptance(p: Floats, q: Floats) -> float:
    """Return the probability that a guess is kept: the sum of min(p, q) (Leviathan et al., corollary 3.6)."""
    return float(np.minimum(p, q).sum())


def expected_tokens(kept: float, guesses: int) -> float:
    """Return the tokens that a step brings on average: (1 - aᵏ⁺¹) / (1 - a), for a guess kept with probability a (Leviathan et al., equation 1)."""
    return float(guesses + 1) if kept >= 1 else (1 - kept ** (guesses + 1)) / (1 - kept)


def speed_up(kept: float, guesses: int, draft_cost: float) -> float:
    """Return how many times faster decoding becomes, `draft_cost` being a draft step's share of a target step (Leviathan et al., theorem 3.8)."""
    return expected_tokens(kept, guesses) / (guesses * draft_cost + 1)
