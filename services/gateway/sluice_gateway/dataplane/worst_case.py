"""The most that a request can cost before it is known what it costs: what is reserved of budgets and of tokens a minute."""

from typing import Any, NamedTuple

from sluice_gateway.dataplane.body import Fields, Kind
from sluice_gateway.dataplane.media import FORMS, MEDIA, most_units
from sluice_gateway.dataplane.table import ModelEntry
from sluice_gateway.domain.leases import NANO, nano_dollars


class WorstCase(NamedTuple):
    """Tokens of the prompt, tokens in all, and nano-dollars; `chosen` says that the caller bounded the answer."""

    prompt: int
    tokens: int
    money: int
    chosen: bool = True


NOTHING = WorstCase(0, 0, 0)
UNKNOWN = 1 << 62  # a size larger than any context


def worst_case(
    entry: ModelEntry, kind: Kind, fields: Fields, size: int, *, plain: bool = False, most: int | None = None
) -> WorstCase:
    """Return the most that a body of `size` bytes can come to on a model; `plain` says that it is known to hold no media.

    `most` is what a policy or the key lets an answer have.

    A tokenizer makes at most one token of a byte, and no prompt is longer than the model's context. Media cost what their bytes do
    not show: such a prompt counts as the whole context. The answer is as long as the caller allows, else as long as the model's can
    be, times the number of choices.
    """
    if kind in ("embedding", "rerank"):
        if kind == "rerank":
            size += len(fields["query"].encode()) * len(fields["documents"])  # it is read anew with each document
        dearest = entry.dearest_input if size <= entry.long_above else entry.card.dearest(size)[0]
        return WorstCase(size, size, nano_dollars(size * dearest + entry.request_fee))
    if kind in MEDIA:
        return _of_media(entry, kind, fields, size)
    context, answer = entry.context_tokens, entry.longest_answer
    prompt = context if size > context or (kind == "chat" and not plain and _has_media(fields["messages"])) else size
    asked, newer = fields.get("max_tokens"), fields.get("max_completion_tokens")
    if newer is not None:  # where both stand, providers differ in which one counts
        asked = newer if asked is None else max(asked, newer)
    if asked is not None and asked < answer:
        answer = asked
    if most is not None and most < answer:
        answer = most
    choices = fields.get("n") or 1
    if kind == "completion":
        prompt = size
        choices = max(choices, _number(fields.get("best_of"))) * _prompts(fields["prompt"])
    answer *= choices
    dearest_input, dearest_output = entry.dearest_input, entry.dearest_output
    if prompt > entry.long_above:
        dearest_input, dearest_output = entry.card.dearest(prompt)
    cost = int((prompt * dearest_input + answer * dearest_output + entry.request_fee) * NANO + 0.999)
    return WorstCase(prompt, prompt + answer, cost, asked is not None)


def _of_media(entry: ModelEntry, kind: Kind, fields: Fields, size: int) -> WorstCase:
    units = most_units(kind, fields, size)
    if kind in FORMS:
        size = entry.context_tokens  # how many tokens files come to, their bytes do not show
    answer = entry.longest_answer * max(1, units.images)
    dearest_input, dearest_output = entry.card.dearest(size)
    cost = size * dearest_input + answer * dearest_output + entry.request_fee
    if entry.unit_prices is not None:
        cost += entry.unit_prices.cost(units)
    return WorstCase(size, size + answer, nano_dollars(cost))


def _has_media(messages: list[dict[str, Any]]) -> bool:
    for message in messages:
        content = message.get("content")
        if type(content) is list and any(part.get("type") != "text" for part in content):
            return True
    return False


def _prompts(prompt: object) -> int:
    return len(prompt) if type(prompt) is list and type(prompt[0]) is not int else 1


def _number(value: object) -> int:
    return value if type(value) is int else 1
