"""Embeddings, kept input by input: of a list only what is missing goes to the model."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, NamedTuple

import orjson

from sluice_gateway.cache.levels import AnswerCache
from sluice_gateway.dataplane.answers import cost, wants_sluice_object, with_citations
from sluice_gateway.dataplane.asgi import Headers, Message
from sluice_gateway.dataplane.context import RequestContext
from sluice_gateway.dataplane.errors import Gone, UpstreamBroken
from sluice_gateway.domain.cached import Entry, Found, Level, key_of
from sluice_gateway.tokens import count_of

Generate = Callable[[RequestContext], Awaitable[None]]
_SLOWNESS: tuple[Level, ...] = ("l1", "l2", "l3")


class Items(NamedTuple):
    """The inputs of a list, the name of each one's answer, and what was found of them."""

    inputs: Sequence[Any]
    keys: tuple[bytes, ...]
    found: dict[bytes, Found]


class Whole(NamedTuple):
    """A list that was found as a whole: as if it had been kept as one, and the answer."""

    found: Found
    pieces: tuple[bytes, ...]


def inputs_of(value: object) -> Sequence[Any]:
    """Return the inputs of an embedding request: texts, or lists of token numbers."""
    if isinstance(value, list) and value and type(value[0]) is not int:
        return value
    return [value]


def items_of(base: bytes, inputs: Sequence[Any]) -> Items:
    """Return the inputs with their names; `base` names all else of the request."""
    return Items(inputs, tuple(key_of(base.hex(), one) for one in inputs), {})


def look_at_hand(answers: AnswerCache, items: Items, now: float, max_age: float) -> None:
    """Find what is in memory of these inputs."""
    for key in items.keys:
        entry = answers.at_hand(key, now)
        if entry is not None and now - entry.stored_at <= max_age:
            items.found[key] = Found(entry, "l1")


async def look(answers: AnswerCache, items: Items, now: float, max_age: float, *, news: bool) -> None:
    """Find what any level has of these inputs."""
    found = await answers.find_all(tuple(dict.fromkeys(items.keys)), now, news=news)
    items.found.update((key, one) for key, one in found.items() if now - one.entry.stored_at <= max_age)


def whole(ctx: RequestContext, items: Items) -> Whole | None:
    """Return the answer to the list if all of it was found."""
    found = items.found
    if any(key not in found for key in items.keys):
        return None
    parts = [found[key] for key in items.keys]
    answers = {key: orjson.loads(one.entry.pieces[0]) for key, one in found.items()}
    body = _joined(answers[items.keys[0]], [answers[key] for key in items.keys])
    if wants_sluice_object(ctx):
        body = with_citations(body, ctx)
    slowest = max((part.level for part in parts), key=_SLOWNESS.index)
    first = parts[0].entry
    entry = Entry(
        first.tenant,
        first.model,
        first.key_id,
        (),
        min(part.entry.stored_at for part in parts),
        first.ttl_s,
        sum(part.entry.prompt_tokens for part in parts),
        0,
        sum(part.entry.cost_usd for part in parts),
    )
    return Whole(Found(entry, slowest), (orjson.dumps(body),))


async def ask(ctx: RequestContext, items: Items, generate: Generate) -> dict[bytes, bytes]:
    """Let the model answer what was not found, send the client the answer to all, and return the new parts by their name.

    Raises:
        UpstreamBroken: the model answered another number of inputs than it was asked for.
    """
    found = items.found
    missing = {key: one for key, one in zip(items.keys, items.inputs, strict=True) if key not in found}
    ctx.fields = {**ctx.fields, "input": list(missing.values())}
    ctx.changed = True
    send, held = ctx.send, Held()
    ctx.send, ctx.cycle = held, None
    try:
        await generate(ctx)
    finally:
        ctx.send = send
    answer = orjson.loads(held.body)
    sizes = sizes_of(missing.values())
    new = _parted(answer, list(missing), sizes)
    known = {key: orjson.loads(one.entry.pieces[0]) for key, one in found.items()} | new
    body = orjson.dumps(_joined(answer, [known[key] for key in items.keys]))
    headers = [pair for pair in held.headers if pair[0] != b"content-length"]
    headers.append((b"content-length", b"%d" % len(body)))
    if found:
        headers.append((b"x-sluice-saved-cost", cost(saved_usd(items))))
    try:
        await send({"type": "http.response.start", "status": held.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
    except OSError as exc:
        raise Gone from exc
    return {key: orjson.dumps(part) for key, part in new.items()}


class Held:
    """Takes an answer instead of the client."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: Headers = []
        self.body = b""

    async def __call__(self, message: Message) -> None:
        """Take one message."""
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], message["headers"]
        else:
            self.body += message.get("body", b"")


def _joined(like: dict[str, Any], parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    # The usage is that of all inputs, as the model would have counted them; what is billed stands in the headers.
    data = [{**part["data"][0], "index": place} for place, part in enumerate(parts)]
    prompt = sum(_tokens(part) for part in parts)
    return {**like, "data": data, "usage": {"prompt_tokens": prompt, "total_tokens": prompt}}


def _parted(answer: dict[str, Any], keys: Sequence[bytes], sizes: Sequence[int]) -> dict[bytes, dict[str, Any]]:
    data = answer.get("data")
    if not isinstance(data, list) or len(data) != len(keys) or not all(isinstance(one, dict) for one in data):
        raise UpstreamBroken("The model did not answer each input once. Try again.", code="wrong_number_of_answers")
    data = sorted(data, key=lambda one: one.get("index") or 0)
    total = _tokens(answer)
    rest = {name: value for name, value in answer.items() if name not in ("data", "usage", "sluice")}
    shares = shared(total, sizes)
    return {
        key: {**rest, "data": [{**one, "index": 0}], "usage": {"prompt_tokens": share, "total_tokens": share}}
        for key, one, share in zip(keys, data, shares, strict=True)
    }


def is_part(body: bytes) -> bool:
    """Tell whether an answer to one input can stand among those to a list."""
    data = orjson.loads(body).get("data")
    return isinstance(data, list) and len(data) == 1 and isinstance(data[0], dict)


def _tokens(answer: dict[str, Any]) -> int:
    usage = answer.get("usage")
    return (count_of(usage.get("prompt_tokens")) or 0) if isinstance(usage, dict) else 0


def sizes_of(inputs: Iterable[Any]) -> list[int]:
    """Return how long inputs are, by which the tokens of a list are shared among them."""
    return [max(1, len(one)) for one in inputs]


def shared(total: int, sizes: Sequence[int]) -> list[int]:
    """Return `total` tokens as shares that are as large as these sizes: a model tells the sum only, and the shares add up to it."""
    size_of_all, shares, passed, given = sum(sizes), [], 0, 0
    for size in sizes:
        passed += size
        upto = total * passed // size_of_all
        shares.append(upto - given)
        given = upto
    return shares


def saved_usd(items: Items) -> float:
    """Return what the inputs that were found would have cost."""
    return sum(one.entry.cost_usd for one in items.found.values())


def entries(ctx: RequestContext, new: dict[bytes, bytes], ttl_s: int) -> dict[bytes, Entry]:
    """Return what to keep of the new parts, each with its share of tokens and cost."""
    model = ctx.chain[0].name
    counts = {key: orjson.loads(body)["usage"]["prompt_tokens"] for key, body in new.items()}
    total = sum(counts.values())
    share = {key: count / total if total else 1 / len(new) for key, count in counts.items()}
    cost_usd = ctx.cost or 0.0
    return {
        key: Entry(ctx.key.tenant, model, ctx.key.key_id, (body,), ctx.at, ttl_s, counts[key], 0, cost_usd * share[key])
        for key, body in new.items()
    }
