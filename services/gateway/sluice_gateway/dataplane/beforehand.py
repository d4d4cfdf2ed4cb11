"""Requests to /v1/responses that name something kept: a stored prompt is filled, and an earlier response is looked up and put before the input.

Both ask the database. What comes of it is a request like any other, with its whole conversation: guards, caches, limits and routing see that.
One that is to be answered in the background is admitted so as well, and asked later as it came.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, TypeVar, cast

import orjson
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from sluice.errors import DependencyUnavailable
from sluice_gateway.dataplane.answers import id_headers
from sluice_gateway.dataplane.asgi import Receive, Send
from sluice_gateway.dataplane.background import admit_aside, wanted
from sluice_gateway.dataplane.body import Fields, read_object
from sluice_gateway.dataplane.context import Heads, Opened, RequestContext
from sluice_gateway.dataplane.errors import ApiError, InvalidRequest, NotThere, Unavailable, wrong_value
from sluice_gateway.dataplane.keeping import added_to
from sluice_gateway.dataplane.sending import refuse
from sluice_gateway.dataplane.short_way import Plane
from sluice_gateway.dataplane.table import Endpoint, Table
from sluice_gateway.domain.background import APART
from sluice_gateway.domain.compaction import Compactions, SealBroken
from sluice_gateway.domain.compaction import opened as with_summaries
from sluice_gateway.domain.responses import (
    ENDED,
    UNFINISHED,
    Item,
    ResponsesKept,
    StoredResponse,
    history,
    items_of,
    said_again,
    shortened,
)

_PROMPT = b'"prompt"'
_COMPACTION = b'"compaction"'
_PREVIOUS, _CONVERSATION = "previous_response_id", "conversation"
_NAMES = re.compile(rb'"(?:prompt|previous_response_id|conversation|truncation|background|compaction)"')
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_BYTES_PER_TOKEN = 3  # of what is cut away for lack of room: rather a little too much
_ROOM_FOR_ANSWER = 1024
Found = TypeVar("Found")


class _Named(NamedTuple):
    # A field that names something kept, and what is told when that is not to be had.
    field: str
    what: str
    several: str
    instead: str
    none_kept: str
    gone: type[InvalidRequest | NotThere]
    not_found: str
    lost: str


_RESPONSE = _Named(
    _PREVIOUS,
    "a response, such as the `id` of the last one",
    "Kept responses",
    "Send the whole conversation as `input`.",
    "previous_response_not_found",
    InvalidRequest,
    "previous_response_not_found",
    "Previous response with id '%s' not found: it, or one before it, was not kept, was deleted or has expired. "
    "Send the whole conversation as `input`.",
)
_JOINED = _Named(
    _CONVERSATION,
    "a conversation; POST /v1/conversations begins one",
    "Conversations",
    "Send its messages as `input`.",
    "store_not_allowed",
    NotThere,
    "conversation_not_found",
    "Conversation with id '%s' not found: it was deleted, has expired, or is not yours.",
)


class Recalled(NamedTuple):
    """What a request goes on from: its own input, what was said before it, and the response or conversation that it names.

    `whole` is False where the beginning was left out for its size.
    """

    own: list[Item]
    said: list[Item]
    whole: bool
    turns: Sequence[StoredResponse] = ()
    previous: str | None = None
    conversation: str | None = None


def asks_beforehand(raw: bytes) -> bool:
    """Tell whether a body may name something that is kept, or is to be; most say nothing of the kind."""
    return _NAMES.search(raw) is not None


async def prepared(
    plane: Plane, endpoint: Endpoint, heads: Heads, started: float, opened: Opened, raw: bytes
) -> RequestContext:
    """Put in place of what a body names what that stands for, and decide on what it becomes.

    Raises:
        ApiError: the request is refused.
    """
    filled, came = None, raw
    if _PROMPT in raw and plane.prompts is not None:
        filled = await plane.prompts.filled(opened.key, raw)
        raw = raw if filled is None else filled.body
    fields = read_object(raw)
    aside = not endpoint.counts and wanted(fields)
    if aside:
        del fields["background"]
        raw = orjson.dumps(fields)
    recalled = await recall(plane, opened.key.tenant, fields)
    if recalled is not None or fields.get("truncation") == "auto":
        raw = _gone_on(plane, opened, fields, recalled)
    own = None
    if _COMPACTION in raw and plane.compactions is not None:
        fields = read_object(raw)
        own = items_of(fields.get("input")) if recalled is None else recalled.own
        raw = orjson.dumps(
            {**fields, "input": open_summaries(plane.compactions, opened.key.tenant, fields.get("input"))}
        )
    ctx = plane.admit(endpoint, heads, started, opened, raw)
    if filled is not None:
        ctx.prompt, ctx.prompt_version, ctx.prompt_values = filled.prompt, filled.version, filled.values
    if aside:
        ctx.aside = admit_aside(ctx, read_object(came))
    if recalled is not None:
        _follow(ctx, recalled, plane)
    if own is not None and ctx.keeping is not None:
        ctx.keeping.own = own  # what is kept of the request is what came
    return ctx


def open_summaries(compactions: Compactions, tenant: str, given: Any) -> Any:
    """Return an input with the summaries that were sealed here as messages; what is no list of items stays as it is.

    Raises:
        InvalidRequest: one does not open.
    """
    if type(given) is not list or not all(type(item) is dict for item in given):
        return given
    try:
        return with_summaries(given, lambda content: compactions.open(content, tenant))
    except SealBroken as exc:
        raise InvalidRequest(
            "A `compaction` item does not open: its `encrypted_content` was altered, or is of another tenant or installation. Send what "
            "/v1/responses/compact answered, as it came, or the whole conversation.",
            param="input",
            code="invalid_encrypted_content",
        ) from exc


def _gone_on(plane: Plane, opened: Opened, fields: Fields, recalled: Recalled | None) -> bytes:
    # The body with what was said before its own input, as far as that fits.
    if recalled is not None:
        fields = {name: value for name, value in fields.items() if name not in (_PREVIOUS, _CONVERSATION)}
        fields["input"] = [*recalled.said, *recalled.own]
    if fields.get("truncation") == "auto":
        fields = _cut_to_fit(fields, opened.table, len(recalled.own) if recalled is not None else 1)
    elif recalled is not None and not recalled.whole:
        raise too_long(plane)
    raw = orjson.dumps(fields)
    if len(raw) > plane.max_body_bytes:
        raise too_long(plane)
    return raw


def _follow(ctx: RequestContext, recalled: Recalled, plane: Plane) -> None:
    ctx.previous = recalled.previous
    if recalled.conversation is not None and not ctx.endpoint.counts and not _stands_apart(ctx.heads):
        ctx.keeping = added_to(ctx, plane.responses, recalled.conversation)
    if ctx.keeping is not None:
        ctx.keeping.own, ctx.keeping.turns = recalled.own, recalled.turns


def _stands_apart(heads: Heads) -> bool:
    return any(name == APART for name, _ in heads.all)


async def answer(
    plane: Plane,
    endpoint: Endpoint,
    heads: Heads,
    started: float,
    opened: Opened,
    raw: bytes,
    cycle: RequestResponseCycle,
) -> None:
    """Answer a request that came over the short way and may name something that is kept."""
    receive, send = cast("Receive", cycle.receive), cast("Send", cycle.send)
    try:
        ctx = await prepared(plane, endpoint, heads, started, opened, raw)
    except ApiError as exc:
        plane.count_refusal(endpoint, exc, started)
        await refuse(send, endpoint, exc, id_headers(endpoint, heads.request_id))
        return
    ctx.talk(receive, send, cycle)
    await plane.run(ctx)


async def recall(plane: Plane, tenant: str, fields: Fields) -> Recalled | None:
    """Return what a request goes on from, None when it names nothing.

    Raises:
        ApiError: what it names is not there, or cannot be read now.
    """
    named, given = fields.get(_PREVIOUS), fields.get(_CONVERSATION)
    if named is not None and given is not None:
        raise InvalidRequest(
            "`previous_response_id` and `conversation` cannot both be given. Leave one of them out.",
            param=_PREVIOUS,
            code="mutually_exclusive_parameters",
        )
    if named is not None:
        turns = await _looked_up(plane, _RESPONSE, named, lambda kept, one: kept.chain(tenant, one))
        if (status := turns.turns[-1].status) not in ENDED:
            raise _no_answer(named, status)
        return Recalled(_own(fields), history(turns.turns), turns.whole, turns.turns, previous=str(named))
    if given is not None:
        named = given.get("id") if type(given) is dict else given
        found = await _looked_up(plane, _JOINED, named, lambda kept, one: kept.said(tenant, one))
        said = said_again(one.item for one in found.items)
        return Recalled(_own(fields), said, found.whole, conversation=named)
    return None


async def _looked_up(
    plane: Plane, kind: _Named, named: object, look: Callable[[ResponsesKept, str], Awaitable[Found | None]]
) -> Found:
    if type(named) is not str or not _ID.fullmatch(named):
        raise wrong_value(kind.field, f"must be the id of {kind.what}.")
    if plane.responses is None:
        none = f"`{kind.field}` names one, and this gateway keeps none (SLUICE_GATEWAY_RESPONSES_KEEP_DAYS is 0). {kind.instead}"
        raise InvalidRequest(none, param=kind.field, code=kind.none_kept)
    try:
        found = await look(plane.responses, named)
    except DependencyUnavailable as exc:
        raise Unavailable(f"{kind.several} cannot be read now. Try again in a few seconds.") from exc
    if found is None:
        raise kind.gone(kind.lost % named, param=kind.field, code=kind.not_found)
    return found


def _no_answer(named: object, status: str) -> InvalidRequest:
    waits = status in UNFINISHED
    then = (
        "Wait until it is completed." if waits else "Name the one before it, or send the whole conversation as `input`."
    )
    return InvalidRequest(
        f"Previous response '{named}' is {status}: a conversation goes on from an answer. {then}",
        param=_PREVIOUS,
        code="previous_response_not_completed",
    )


def _own(fields: Fields) -> list[Item]:
    given: Any = fields.get("input")
    if given is not None and type(given) not in (str, list):
        raise wrong_value("input", "must be a text, or a list of items.")
    return items_of(given) if given is not None else []


def too_long(plane: Plane) -> InvalidRequest:
    """Return the refusal of a conversation that is too long to go on."""
    return InvalidRequest(
        f"The conversation so far has more than {plane.max_body_bytes} bytes or 1000 turns. Begin a new one, or leave out its beginning "
        'with `"truncation": "auto"`.',
        param=_PREVIOUS,
        code="context_length_exceeded",
    )


def _cut_to_fit(fields: Fields, table: Table, own: int) -> Fields:
    # Leaves out the oldest turns, as far as is known how much the model reads; its own count decides in the end.
    given, name = fields.get("input"), fields.get("model")
    if type(given) is not list or not all(type(item) is dict for item in given) or type(name) is not str:
        return fields
    entry, route = table.models.get(name), table.routes.get(name)
    models = [entry] if entry is not None else list(route.candidates) if route is not None else []
    known = [one.config.context_tokens for one in models if one.config.context_tokens]
    if not known:
        return fields
    most = fields.get("max_output_tokens")
    room = min(known) - (most if type(most) is int else min(_ROOM_FOR_ANSWER, min(known) // 4))
    beside = sum(len(orjson.dumps(fields[key])) for key in ("instructions", "tools") if fields.get(key))
    fitting = shortened(given, own, max(0, room * _BYTES_PER_TOKEN - beside))
    return {**fields, "input": fitting, "truncation": "auto"}
