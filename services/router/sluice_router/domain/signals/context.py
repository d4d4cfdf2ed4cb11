"""Context: the prompt must fit, as far as its length is known."""

import math

from sluice.contracts.routing import Model, RouteRequest, SignalValue


def tokens_of(model: Model, prompt_tokens: int, language: str | None) -> int:
    """Return about how many tokens a model's tokenizer makes of a prompt, by the language that was recognised (F018)."""
    return math.ceil(prompt_tokens * model.token_scale.get(language or "", 1.0))


def context(model: Model, request: RouteRequest, language: str | None = None) -> SignalValue:
    """Say whether the model's context holds the prompt; the prompt's length is an estimate."""
    tokens, length = tokens_of(model, request.prompt_tokens, language), model.context_tokens
    scale = model.token_scale.get(language or "")
    scaled = "" if scale is None else f" ({language}: {scale:g} times the usual)"
    if tokens < length:
        return SignalValue(signal="context", value=f"about {tokens} of {length} tokens{scaled}")
    said = f"its context of {length} does not hold the prompt of about {tokens} tokens{scaled}"
    return SignalValue(signal="context", value=said, against=True)
