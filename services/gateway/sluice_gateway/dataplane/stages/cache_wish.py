"""What a request may have of the cache, and under which name: all that changes its answer is part of it."""

import re
from typing import NamedTuple

from sluice.contracts.routing import CachePolicy
from sluice_gateway.dataplane.context import Heads, RequestContext
from sluice_gateway.dataplane.errors import InvalidRequest
from sluice_gateway.dataplane.replay import serves_both
from sluice_gateway.dataplane.stages import cache_items
from sluice_gateway.dataplane.stages.cache_items import Items
from sluice_gateway.dataplane.stages.cache_question import Asking, readable
from sluice_gateway.dataplane.table import ModelEntry
from sluice_gateway.domain.cached import key_of

_NO_PART = frozenset(
    {
        "model",
        "stream",
        "stream_options",
        "user",
        "metadata",
        "sluice",
        "safety_identifier",
        "prompt_cache_key",
        "store",
    }
)
_MAX_AGE = re.compile(rb"max-age=(\d{1,9})")
_COMPUTED = frozenset({"embedding", "rerank"})
_FOREVER = float("inf")
_FOR_IT = (b"on", b"refresh", b"semantic", b"exact")
_WORDS = frozenset({b"", b"bypass", *_FOR_IT})


class Wish(NamedTuple):
    """What a request may have of the cache: its key, whether it reads, and the age that it accepts in seconds.

    `items` are those of a list of which each is kept by itself.
    """

    key: bytes
    reads: bool
    max_age: float
    policy: CachePolicy
    items: Items | None = None


def admit_wish(heads: Heads) -> None:
    """Refuse a word about the cache that means nothing: passed over, a mistyped `bypass` would be answered from the cache.

    Raises:
        InvalidRequest: there is one.
    """
    if heads.cache not in _WORDS:
        raise InvalidRequest(
            "`x-sluice-cache` must be one of on, semantic, exact, refresh and bypass.",
            param="x-sluice-cache",
            code="invalid_value",
        )


def wish_of(ctx: RequestContext) -> Wish | None:
    """Return what a request wants of the cache, None when it wants or gets nothing of it."""
    policy = ctx.plan.cache
    model = ctx.chain[0] if ctx.chain else None
    if policy is None or model is None or ctx.endpoint.counts or ctx.endpoint.is_media:
        return None
    asked = _asked(ctx, policy)
    if asked is None or not (asked.for_it or policy.any_temperature or _is_certain(ctx)):
        return None
    key, items = _key(ctx, policy, model), None
    if ctx.endpoint.kind == "embedding":
        inputs = cache_items.inputs_of(ctx.fields["input"])
        items = cache_items.items_of(key, inputs)
        key, items = (items.keys[0], None) if len(inputs) == 1 else (key_of(*(one.hex() for one in items.keys)), items)
    return Wish(key, asked.reads, asked.max_age, policy, items)


def evidence_wish(ctx: RequestContext, asked: object) -> Wish | None:
    """Return what a request wants of what retrieval found before for the same question, None when it wants or gets nothing of it.

    All keys of a tenant may search the same, so they share what was found; it counts for as long as retrieval says so.
    """
    policy = ctx.plan.cache
    wanted = None if policy is None else _asked(ctx, policy)
    if policy is None or wanted is None:
        return None
    return Wish(key_of("evidence", ctx.key.tenant, asked), wanted.reads, wanted.max_age, policy)


class _Asked(NamedTuple):
    # What the request itself says of the cache.
    for_it: bool
    reads: bool
    max_age: float


_SAYS_NOTHING = _Asked(for_it=False, reads=True, max_age=_FOREVER)


def _asked(ctx: RequestContext, policy: CachePolicy) -> _Asked | None:
    if ctx.vault is not None:
        return None  # the answer holds the user's own values, which are nobody else's and are not stored
    asked, control = ctx.heads.cache, ctx.heads.cache_control
    if not (asked or control):
        return None if policy.use == "on_request" else _SAYS_NOTHING
    if asked == b"bypass" or b"no-store" in control or (policy.use == "on_request" and asked not in _FOR_IT):
        return None
    aged = _MAX_AGE.search(control)
    reads = asked != b"refresh" and b"no-cache" not in control
    return _Asked(asked in _FOR_IT, reads, _FOREVER if aged is None else float(aged[1]))


def _is_certain(ctx: RequestContext) -> bool:
    return ctx.endpoint.kind in _COMPUTED or (ctx.body.native or ctx.fields).get("temperature") == 0


def asking_of(ctx: RequestContext, policy: CachePolicy) -> Asking | None:
    """Return the question of a request that may have the answer to one in other words, None when it may not or has none.

    A translated body that a guard or retrieval has changed is left out: what came and what became of it both count then.
    """
    semantic = policy.semantic
    header = ctx.heads.cache
    if semantic is None or header == b"exact" or (semantic.use == "on_request" and header != b"semantic"):
        return None
    native = ctx.body.native
    if ctx.endpoint.kind != "chat" or (native is not None and ctx.changed):
        return None
    found = readable(native or ctx.fields)
    if found is None:
        return None
    question, rest = found
    named = {name: value for name, value in rest.items() if name not in _NO_PART}
    return Asking(
        question, key_of("question", question.name, *_circumstances(ctx, policy, ctx.chain[0]), named), semantic
    )


def _key(ctx: RequestContext, policy: CachePolicy, model: ModelEntry) -> bytes:
    native = ctx.body.native
    left_out = _NO_PART | {"input"} if ctx.endpoint.kind == "embedding" else _NO_PART
    return key_of(
        *_circumstances(ctx, policy, model),
        None if native is None else {name: value for name, value in native.items() if name not in _NO_PART},
        None
        if native is not None and not ctx.changed
        else {name: value for name, value in ctx.fields.items() if name not in left_out},
    )


def _circumstances(ctx: RequestContext, policy: CachePolicy, model: ModelEntry) -> tuple[object, ...]:
    # All but the body that changes an answer, or who may have it.
    key, body = ctx.key, ctx.body
    holder = key.key_id if policy.scope == "key" else (key.team_id or key.key_id) if policy.scope == "team" else ""
    both = serves_both(ctx)
    return (
        key.tenant,
        policy.scope,
        holder,
        ctx.endpoint.path,
        both or body.stream,
        both or body.wants_usage,
        # with the same text but from elsewhere an answer would cite what was not found for this request
        [citation.model_dump(mode="json") for citation in ctx.citations],
        model.fingerprint,
        ctx.plan.marks,
        ctx.guard_rules,  # an answer that was let pass by other rules may not pass now
        None if key.regions is None else sorted(key.regions),
        ctx.heads.anthropic,
        *_asked_beside(ctx),
    )


def _asked_beside(ctx: RequestContext) -> tuple[object, ...]:
    # What the `sluice` object changes of an answer, and neither the body nor the plan tells: all else of it is told anew of each answer.
    asked = ctx.body.extension
    if asked is None:
        return ()
    mode = None if ctx.structure is None else asked.structured_output
    shown = asked.retrieval is not None and asked.retrieval.results
    beside = (asked.sampling, mode, shown)
    return beside if any(beside) else ()
