"""Settle: the tokens and the exact cost of a request, however it ended."""

from typing import Any, NamedTuple

import orjson

from sluice_gateway.dataplane.answers import with_citations
from sluice_gateway.dataplane.context import RequestContext
from sluice_gateway.dataplane.deployments import DeploymentState
from sluice_gateway.dataplane.sse import Price, Scanner, Told, Usage, counted, usage_of
from sluice_gateway.dataplane.table import ModelEntry
from sluice_gateway.dataplane.texts import pieces, size
from sluice_gateway.domain.rates import surcharge
from sluice_gateway.tokens import TokenDetails

_BYTES_PER_TOKEN = 4
_SAID = ("content", "text", "reasoning_content", "tool_calls")
_DRAWN = ("chat", "completion")


class Settlement(NamedTuple):
    """What a request is billed; the cost is None when nobody knows the model's price."""

    prompt_tokens: int
    completion_tokens: int
    exact: bool
    cost_usd: float | None
    details: TokenDetails | None = None


def whole_body(ctx: RequestContext, found: dict[str, Any], body: bytes) -> bytes:
    """Return what goes out for a whole answer: as it came, with the counts of all answers, or with a `sluice` object if the request has one."""
    counts = None if ctx.usage is None else of_all_answers(ctx, ctx.usage, ctx.deployment)
    shown = found if counts is None or counts is ctx.usage else {**found, "usage": counted(found["usage"], counts)}
    if ctx.body.extension is not None:
        shown = with_citations(shown, ctx)
    return body if shown is found else orjson.dumps(shown)


def take_counts(ctx: RequestContext, scanner: Scanner) -> None:
    """Take over what a stream was counted to; without the upstream's own counts, how many pieces of the answer came."""
    ctx.usage = scanner.usage
    if ctx.usage is None:
        ctx.chunks = scanner.chunks
    elif _counts_nothing(ctx.usage) and ctx.units is None and scanner.chunks:
        ctx.usage, ctx.chunks = None, scanner.chunks


def take_whole(ctx: RequestContext, found: dict[str, Any]) -> None:
    """Take over what a whole answer is counted to; without the upstream's own counts, a token for four bytes of what it says."""
    ctx.usage = usage_of(found)
    if ctx.usage is None or _counts_nothing(ctx.usage):
        ctx.chunks = written(found)
        ctx.usage = None if ctx.chunks else ctx.usage


def _counts_nothing(usage: Usage) -> bool:
    # Some servers say 0 where they do not count.
    return not (usage.prompt_tokens or usage.completion_tokens)


def written(found: dict[str, Any]) -> int:
    """Return about how many tokens the model wrote of a whole answer that tells no counts."""
    size, choices = 0, found.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        said = choice.get("message", choice) if isinstance(choice, dict) else None
        if isinstance(said, dict):
            size += sum(len(orjson.dumps(said[name])) for name in _SAID if said.get(name))
    return -(-size // _BYTES_PER_TOKEN)


def settle(model: ModelEntry, usage: Usage | None, *, prompt_bytes: int, chunks: int) -> Settlement:
    """Return the bill: from the upstream's own counts if it gave them, else from what was seen.

    Without counts the prompt is taken as one token for four bytes of text, and the answer as `chunks` tokens: as many as pieces
    came of it in a stream, which is how engines send them.
    """
    details: TokenDetails | None = None
    if usage is not None:
        prompt, completion, details, exact = usage
    else:
        prompt, completion, exact = -(-prompt_bytes // _BYTES_PER_TOKEN), chunks, False
    if prompt > model.long_above:
        return Settlement(prompt, completion, exact, _rarely(model, prompt, completion, details), details)
    cost_usd = prompt * model.input_price + completion * model.output_price + model.request_fee
    if details is not None:
        cost_usd = max(0.0, cost_usd + surcharge(details, model.differences))
    return Settlement(prompt, completion, exact, cost_usd, details)


def price_of(ctx: RequestContext, model: ModelEntry, state: DeploymentState) -> Price | None:
    """Return what tells the cost of a streamed answer, None for a client that did not ask for its usage.

    It may be asked before the request knows who answers it: when a whole stream comes in one read.
    """
    if not ctx.body.wants_usage:
        return None
    return lambda usage: _told(ctx, model, of_all_answers(ctx, usage, state), usage)


def _told(ctx: RequestContext, model: ModelEntry, whole: Usage, usage: Usage) -> Told:
    bill = _with_units(ctx, model, settle(model, whole, prompt_bytes=0, chunks=0))
    return Told(bill.cost_usd, None if whole is usage else whole)


def _rarely(model: ModelEntry, prompt: int, completion: int, details: TokenDetails | None) -> float | None:
    # A prompt so long that other rates hold for it, or a model without a price.
    if not model.priced:
        return None
    rates = model.card.of(prompt)
    cost_usd = prompt * rates.input + completion * rates.output + model.request_fee
    return cost_usd if details is None else max(0.0, cost_usd + surcharge(details, rates.differences))


def settle_request(ctx: RequestContext) -> Settlement:
    """Return the bill of a request; one that never reached a model costs nothing, and that is exact."""
    if ctx.model is None or ctx.endpoint.counts or not ctx.dispatched or (ctx.usage is None and not _is_estimated(ctx)):
        return Settlement(0, 0, exact=True, cost_usd=0.0)
    if ctx.units is not None:
        return _with_units(ctx, ctx.model, _of_tokens(ctx, ctx.model))
    return _of_tokens(ctx, ctx.model)


def _is_estimated(ctx: RequestContext) -> bool:
    # A model worked for it, and what it did nobody has counted.
    return ctx.answering or ctx.uncounted or (ctx.status == "cancelled" and ctx.body.stream)


def _with_units(ctx: RequestContext, model: ModelEntry, bill: Settlement) -> Settlement:
    prices = model.unit_prices
    if prices is None or ctx.units is None or bill.cost_usd is None:
        return bill
    if ctx.usage is not None and ctx.endpoint.kind == "transcription":
        return bill  # counted in tokens; by the minute is charged what is not
    return bill._replace(cost_usd=bill.cost_usd + prices.cost(ctx.units))


def of_all_answers(ctx: RequestContext, usage: Usage, state: DeploymentState | None) -> Usage:
    """Return the counts of all answers of a request: llama.cpp tells those of the first alone, and the others are taken to be as long."""
    if state is None or state.config.provider != "llamacpp" or ctx.endpoint.kind not in _DRAWN:
        return usage
    prompt = ctx.fields.get("prompt")
    prompts = prompt if type(prompt) is list and prompt and type(prompt[0]) is not int else ()
    answers = _whole(ctx.fields.get("n")) * max(1, len(prompts))
    if answers == 1:
        return usage
    first = max(1, len(prompts[0])) if prompts else 1
    read = usage.prompt_tokens * sum(map(len, prompts)) // first if prompts else usage.prompt_tokens
    return usage._replace(
        prompt_tokens=max(usage.prompt_tokens, read), completion_tokens=usage.completion_tokens * answers, final=False
    )


def _whole(value: object) -> int:
    return value if type(value) is int else 1


def _of_tokens(ctx: RequestContext, model: ModelEntry) -> Settlement:
    if ctx.usage is not None:
        return settle(model, of_all_answers(ctx, ctx.usage, ctx.deployment), prompt_bytes=0, chunks=0)
    return settle(model, None, prompt_bytes=size(pieces(ctx.fields, ctx.endpoint.kind)), chunks=ctx.chunks)
