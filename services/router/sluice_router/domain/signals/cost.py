"""Cost: what the request will cost at a model's prices."""

from sluice.contracts.routing import Model, RouteRequest

ANSWER_TOKENS = 500


def expected_cost(model: Model, request: RouteRequest) -> float:
    """Return US dollars for the prompt as it is and an answer of 500 tokens, whose true length nobody knows yet."""
    tokens_times_price = request.prompt_tokens * model.price.input + ANSWER_TOKENS * model.price.output
    return tokens_times_price / 1_000_000 + model.price.request
