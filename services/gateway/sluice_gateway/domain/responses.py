"""Kept responses of /v1/responses: what is kept of one, and how a conversation is joined from several."""

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import orjson

if TYPE_CHECKING:
    from sluice_gateway.domain.conversations import Said

Item = dict[str, Any]

ID = "resp"
MOST_TURNS = 1000
_IDS = {
    "message": "msg",
    "function_call": "fc",
    "function_call_output": "fco",
    "reasoning": "rs",
    "file_search_call": "fs",
}
_ROOM_FOR_AN_ITEM = 16  # bytes of an item that are no text
ENDED = frozenset({"completed", "incomplete"})
"""What a response is when it has been answered; only those go on."""
UNFINISHED = frozenset({"queued", "in_progress"})
"""What one in the background is before."""


class StoredResponse(NamedTuple):
    """One response: `input` has the items of its own request and `response` what was answered, both as JSON; times are unix seconds.

    `prolonged` are earlier responses of the conversation that are from now on kept as long as this one. `conversation` is the one of
    /v1/conversations that both are added to; with `stored` False they stand there alone. New fields go to the end: journals are read by later releases.
    """

    id: str
    tenant: str
    organization_id: str
    key_id: str
    previous_id: str | None
    model: str
    created_at: int
    expires_at: int
    input: str
    response: str
    prolonged: tuple[str, ...] = ()
    conversation: str | None = None
    stored: bool = True

    @property
    def size(self) -> int:
        """How many characters it takes."""
        return len(self.input) + len(self.response)

    @property
    def status(self) -> str:
        """What has become of it."""
        return str(orjson.loads(self.response).get("status"))


ROW = StoredResponse._fields[: StoredResponse._fields.index("prolonged")]
"""What of it is a row of its own."""


class ResponseFilter(NamedTuple):
    """Which responses are meant; None means any. Times are unix seconds, `since` included and `until` not."""

    tenant: str | None = None
    key_id: str | None = None
    since: float | None = None
    until: float | None = None


class Chain(NamedTuple):
    """A response with those before it, the oldest first; `whole` is False where older ones were left out for their size."""

    turns: Sequence[StoredResponse]
    whole: bool


class ResponsesKept(Protocol):
    """Where responses are kept. `most_bytes` is the size of the largest that is.

    `keep` returns when the response survives the end of this process, and, as long as the database answers soon, when every other
    process can find it. Degraded mode: while the database is away kept ones wait on disk, this process finds its own, and a look for
    any other raises DependencyUnavailable, since nobody knows whether there is one.
    """

    keep_s: int
    most_bytes: int

    async def keep(self, response: StoredResponse) -> bool:
        """Keep one; False when it cannot be kept."""
        ...

    async def said(self, tenant: str, conversation_id: str) -> "Said | None":
        """Return what was said in a conversation, as far as a request may be long; None when this tenant has no such conversation.

        Raises:
            DependencyUnavailable: the database is away.
        """
        ...

    async def chain(self, tenant: str, response_id: str) -> Chain | None:
        """Return a response with those before it, None when this tenant has none of this id, or an earlier one is gone.

        Raises:
            DependencyUnavailable: the database is away.
        """
        ...

    def left_out(self) -> None:
        """Count one that was too large to be kept."""
        ...


class ResponseRows(Protocol):
    """Where kept responses lie in the end; its methods raise DependencyUnavailable while it is away."""

    async def add(self, responses: Sequence[StoredResponse]) -> None:
        """Add responses; one that is there already stays."""
        ...

    async def chain(self, tenant: str, response_id: str, now: float, most_bytes: int) -> Chain | None:
        """Return a response with those before it, up to the one with which they are over `most_bytes`."""
        ...

    async def get(self, tenant: str, response_id: str, now: float) -> StoredResponse | None:
        """Return one."""
        ...

    async def delete(self, tenant: str, response_id: str) -> bool:
        """Delete one, and tell whether there was one."""
        ...


def items_of(given: object) -> list[Item]:
    """Return a request's `input` as a list of items, each with its type; texts become messages of the user."""
    if isinstance(given, str):
        return [_message("user", given)]
    found: list[Item] = []
    for item in given if isinstance(given, list) else ():
        if not isinstance(item, dict):
            continue
        if item.get("type", "message") == "message" and isinstance(item.get("content"), str):
            found.append({**item, **_message(str(item.get("role")), item["content"])})
        else:
            found.append({"type": "message", **item})
    return found


def _message(role: str, text: str) -> Item:
    part: Item = {"type": "input_text", "text": text}
    if role == "assistant":
        part = {"type": "output_text", "text": text, "annotations": []}
    return {"type": "message", "role": role, "content": [part]}


def history(turns: Iterable[StoredResponse]) -> list[Item]:
    """Return what was said so far as the beginning of a new request's input: of each turn what was asked, then what was answered."""
    said: list[Item] = []
    for turn in turns:
        said += orjson.loads(turn.input)
        said += said_again(orjson.loads(turn.response).get("output") or ())
    return said


def _counts(item: Item) -> bool:
    # What was searched is searched again, and thoughts that are not sealed can be shown to nobody.
    kind = item.get("type")
    return kind != "file_search_call" and (kind != "reasoning" or bool(item.get("encrypted_content")))


def _sent_again(item: Item) -> Item:
    # A provider that reads the id of a call looks for what it has kept itself.
    if item.get("type") == "reasoning" or item.get("role") == "assistant":
        return item
    return {name: value for name, value in item.items() if name not in ("id", "status")}


def said_again(items: Iterable[Item]) -> list[Item]:
    """Return items of a conversation as the beginning of a new request's input."""
    return [_sent_again(item) for item in items if _counts(item)]


def added(response: StoredResponse) -> list[Item]:
    """Return what a response adds to its conversation: what was asked, and what was answered, each with an id."""
    answered = orjson.loads(response.response).get("output") or ()
    return with_ids([*orjson.loads(response.input), *answered], response.id)


def shown(turns: Sequence[StoredResponse]) -> list[Item]:
    """Return the items that the last of some turns was answered from, each with an id that is the only one of its kind."""
    items = [*history(turns[:-1]), *orjson.loads(turns[-1].input)]
    return with_ids(items, turns[-1].id)


_OWN_ID = re.compile(r"[^\x00-\x1f/]{1,128}")


def with_ids(items: Iterable[Item], owner: str) -> list[Item]:
    """Return the items with ids: their own, or where they have none that can be asked for, or one that came before, ids made from the owner's and their place."""
    found: list[Item] = []
    seen: set[object] = set()
    for place, item in enumerate(items):
        own = item.get("id")
        if not isinstance(own, str) or not _OWN_ID.fullmatch(own) or own in seen:
            own = f"{_IDS.get(str(item.get('type')), 'item')}_{owner}_in_{place}"
        seen.add(own)
        status = {} if item.get("type") == "reasoning" else {"status": item.get("status") or "completed"}
        found.append({**item, "id": own, **status})
    return found


def shortened(items: Sequence[Item], own: int, most_bytes: int) -> list[Item]:
    """Return the items without the oldest turns, so that they fit; the last `own` items stay whatever they take.

    What is left begins with something that the user said, so that no result stands without its call.
    """
    sizes = [_ROOM_FOR_AN_ITEM + _text_bytes(item) for item in items]
    left, last = sum(sizes), len(items) - own
    begin = 0
    while begin < last and (left > most_bytes or (begin and not _begins_a_turn(items[begin]))):
        left -= sizes[begin]
        begin += 1
    return list(items[begin:])


def _begins_a_turn(item: Item) -> bool:
    return item.get("type", "message") == "message" and item.get("role") in ("user", "system", "developer")


def _text_bytes(value: object) -> int:
    if isinstance(value, str):
        return len(value.encode(errors="replace"))
    parts: Iterable[object] = ()
    if isinstance(value, list):
        parts = value
    elif isinstance(value, dict):
        parts = (part for name, part in value.items() if name not in ("id", "type", "status", "logprobs"))
    return sum(map(_text_bytes, parts))


def page_of(items: Sequence[Item], limit: int, after: str | None, order: str) -> tuple[list[Item], bool] | None:
    """Return a page of items and whether more follow, None when no item has the id `after`, the last one of the page before."""
    found = list(items) if order == "asc" else list(reversed(items))
    if after is not None:
        place = next((number for number, item in enumerate(found) if item["id"] == after), None)
        if place is None:
            return None
        found = found[place + 1 :]
    return found[:limit], len(found) > limit
