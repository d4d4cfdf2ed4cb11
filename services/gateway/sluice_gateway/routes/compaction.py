"""POST /v1/responses/compact: a conversation is summarised by a model, and goes on from the summary.

The summary is asked for as a response like any other: the key's models, policy, limits and guards hold, and the usage is that of
`/v1/responses`.
"""

from typing import Any, NamedTuple

import orjson
from fastapi import APIRouter, Depends
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from sluice.errors import SluiceError
from sluice.ids import new_id
from sluice_gateway.dataplane.beforehand import open_summaries, recall, too_long
from sluice_gateway.dataplane.body import read_object
from sluice_gateway.dataplane.errors import ApiError, Gone, InvalidRequest, UpstreamBroken, wrong_value
from sluice_gateway.dataplane.stages.admit import read_body
from sluice_gateway.domain.compaction import KIND, asking, kept
from sluice_gateway.domain.responses import ID, Item, items_of, with_ids
from sluice_gateway.routes.handing_on import with_body, with_path, without_id
from sluice_gateway.routes.public import key_of
from sluice_gateway.routes.public import rendered as rendered_error
from sluice_gateway.routes.request_path import ERRORS, answered_before, api_key
from sluice_gateway.routes.response_shapes import CompactedReply, CompactRequest
from sluice_gateway.translate.hub import objects, word
from sluice_gateway.wiring import Deps

_PATH, _RESPONSES = "/v1/responses/compact", "/v1/responses"
_OK = 200
_PASSED = ("model", "instructions", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "service_tier",
           "safety_identifier", "user", "metadata", "sluice")  # fmt: skip
_KNOWN = frozenset({*_PASSED, "input", "previous_response_id", "image"})


class _Asked(NamedTuple):
    # The request for the summary, and what is kept beside it.
    body: bytes
    kept: list[Item]
    tenant: str


class Compact:
    """Asks the request path for a summary, and answers with what is kept of the conversation."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        deps: Deps = scope["app"].state.deps
        try:
            asked = await _asked(deps, scope, receive)
            answer = _Answer()
            await deps.data_plane(
                with_path(scope, _RESPONSES, len(asked.body)), with_body(asked.body, receive), answer.take
            )
            body = _compacted(deps, asked, answer)
        except (ApiError, SluiceError) as exc:
            await rendered_error(exc)(scope, receive, send)
            return
        except Gone:
            return
        if answer.status:  # else the client has gone
            await answer.send(send, body)


async def _asked(deps: Deps, scope: Scope, receive: Receive) -> _Asked:
    key = key_of(deps, dict(scope["headers"]).get(b"authorization", b""))
    plane = deps.data_plane
    fields = read_object(await read_body(receive, plane.max_body_bytes))
    for name, value in fields.items():
        if value is not None and name not in _KNOWN:
            raise InvalidRequest(
                f"`{name}` does not go with {_PATH}. Leave it out.", param=name, code="unsupported_parameter"
            )
    if type(image := fields.get("image")) is dict and image.get("context_compression") == "enabled":
        raise wrong_value("image.context_compression", "cannot be `enabled` here. Leave it out.")
    recalled = await recall(plane, key.tenant, fields)
    if recalled is not None and not recalled.whole:
        raise too_long(plane)
    given = fields.get("input")
    if recalled is None and type(given) not in (str, list):
        raise wrong_value("input", "must be a text, or a list of items; or name a `previous_response_id`.")
    items = [*recalled.said, *recalled.own] if recalled is not None else items_of(given)
    items = open_summaries(deps.compactions, key.tenant, items)
    if not items:
        raise wrong_value("input", "must hold at least one item: there is nothing to make shorter.")
    passed = {name: fields[name] for name in _PASSED if fields.get(name) is not None}
    body = orjson.dumps({**passed, "input": asking(items), "store": False})
    return _Asked(body, kept(items), key.tenant)


class _Answer:
    """What the request path sends, held until it is whole."""

    def __init__(self) -> None:
        self.status = 0
        self._headers: list[tuple[bytes, bytes]] = []
        self.body = b""

    async def take(self, message: Message) -> None:
        """Take one message."""
        if message["type"] == "http.response.start":
            self.status, self._headers = message["status"], list(message.get("headers", ()))
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")

    async def send(self, send: Send, body: bytes) -> None:
        """Send it with another body."""
        headers = [one for one in without_id(self._headers) if one[0] != b"content-length"]
        headers.append((b"content-length", b"%d" % len(body)))
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def _compacted(deps: Deps, asked: _Asked, answer: _Answer) -> bytes:
    if answer.status != _OK:
        return answer.body
    response: dict[str, Any] = orjson.loads(answer.body)
    summary = "".join(  # of a server that speaks this API itself it came as it was
        word(part, "text")
        for item in objects(response, "output")
        if item.get("type") == "message"
        for part in objects(item, "content")
        if part.get("type") == "output_text"
    )
    if response.get("status") != "completed" or not summary.strip():
        raise UpstreamBroken(
            "The model wrote no complete summary of the conversation. Try again, or name another model.",
            code="compaction_failed",
        )
    identity = new_id("cmp")
    item = {"type": KIND, "id": identity, "encrypted_content": deps.compactions.seal(summary, asked.tenant)}
    found = {
        "id": new_id(ID),
        "object": "response.compaction",
        "created_at": int(deps.clock.now()),
        "output": [*with_ids(asked.kept, identity), item],
        "usage": response.get("usage"),
    }
    return orjson.dumps(found | ({"sluice": response["sluice"]} if "sluice" in response else {}))


router = APIRouter(routes=[Route(_PATH, Compact(), methods=["POST"], include_in_schema=False)])
described = APIRouter(tags=["openai"], responses=ERRORS, dependencies=[Depends(api_key)])


@described.post(_PATH, summary="Make a conversation shorter")
async def compact(body: CompactRequest) -> CompactedReply:
    """Have a model summarise a conversation; `output` is the input from which the next request goes on, with any model."""
    answered_before()
