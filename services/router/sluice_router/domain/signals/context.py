"""Context: the prompt must fit, as far as its length is known."""

from sluice.contracts.routing import Model, RouteRequest, SignalValue


def context(model: Model, request: RouteRequest) -> SignalValue:
    """Say whether the model's context holds the prompt; the prompt's length is an estimate."""
    tokens, length = request.prompt_tokens, model.context_tokens
    if tokens < length:
        return SignalValue(signal="context", value=f"about {tokens} of {length} tokens")
    said = f"its context of {length} does not hold the prompt of about {tokens} tokens"
    return SignalValue(signal="context", value=said, against=True)
