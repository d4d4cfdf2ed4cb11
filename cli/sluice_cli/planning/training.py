"""How large a model and how much text a budget of computing pays for."""

from typing import NamedTuple

TOKENS_PER_PARAMETER = 20.0
"""Hoffmann et al., "Training Compute-Optimal Large Language Models" (2022): about 20 tokens for each parameter (F024)."""


class Training(NamedTuple):
    """Parameters N, tokens D, operations C = 6 N D."""

    parameters: float
    tokens: float
    operations: float


def optimal(
    *, operations: float | None = None, parameters: float | None = None, tokens: float | None = None
) -> Training:
    """Return the compute-optimal model for exactly one of the three: D = 20 N and C = 6 N D, so N = √(C / 120), and N and D grow as √C (F024).

    Raises:
        ValueError: not exactly one is given, or it is not above 0.
    """
    given = [value for value in (operations, parameters, tokens) if value is not None]
    if len(given) != 1 or given[0] <= 0:
        raise ValueError("Give exactly one of operations, parameters and tokens, above 0.")
    if operations is not None:
        n = (operations / (6 * TOKENS_PER_PARAMETER)) ** 0.5
    else:
        n = parameters if parameters is not None else (tokens or 0.0) / TOKENS_PER_PARAMETER
    d = TOKENS_PER_PARAMETER * n
    return Training(n, d, 6 * n * d)


def seconds_of(operations: float, tflops: float, devices: int, mfu: float) -> float:
    """Return how long a training takes on devices of a dense peak, of which it reaches the share `mfu`."""
    return operations / (tflops * 1e12 * devices * mfu)
