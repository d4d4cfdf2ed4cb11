"""Cost: what the request will cost at a model's prices."""

import math

from sluice.contracts.routing import Model, Rates

ANSWER_TOKENS = 500


def expected_cost(model: Model, prompt_tokens: int) -> float:
    """Return US dollars for a prompt of so many tokens and an answer of 500, whose true length nobody knows yet."""
    price = model.price
    if price is None:
        return math.inf  # what costs nobody knows how much is not the cheapest
    rates: Rates = price
    for tier in price.tiers:
        if prompt_tokens > tier.above:
            rates = tier
    return (prompt_tokens * rates.input + ANSWER_TOKENS * rates.output) / 1_000_000 + price.request


def shown_cost(dollars: float) -> str:
    """Return an expected cost in words."""
    return f"about ${dollars:.6f}" if math.isfinite(dollars) else "nobody knows how much"
