"""POST /v1/prompts/{name}/chat/completions: a stored prompt is filled, and goes on as a chat completion.

Any OpenAI client reaches it with the base URL `…/v1/prompts/{name}`. From there on it is a request like any other: the key's
models, policy, limits and guards hold, and the usage is that of `/v1/chat/completions`.
"""

from typing import Any

import orjson
from fastapi import APIRouter, Depends
from pydantic import Field, ValidationError
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from sluice.contracts.prompts import PromptUse
from sluice.errors import SluiceError
from sluice.ids import new_id
from sluice.sentences import faults
from sluice_gateway import nesting
from sluice_gateway.dataplane.errors import ApiError, Gone, InvalidRequest, wrong_value
from sluice_gateway.dataplane.stages.admit import read_body
from sluice_gateway.dataplane.wants import prompt_subject
from sluice_gateway.domain.ports import Filled
from sluice_gateway.domain.prompts import rendered, request_of, values_in_system
from sluice_gateway.routes.chat_shapes import ChatMessage, CompletionReply, Generation
from sluice_gateway.routes.handing_on import with_body, with_path, without_id
from sluice_gateway.routes.public import key_of
from sluice_gateway.routes.public import rendered as rendered_error
from sluice_gateway.routes.request_path import ERRORS, STREAM, answered_before, api_key
from sluice_gateway.wiring import Deps

_CHAT = "/v1/chat/completions"
_PATH = "/v1/prompts/{name}/chat/completions"


class AskPrompt:
    """Fills the prompt that the path names, and hands the request to the request path."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        deps: Deps = scope["app"].state.deps
        try:
            filled = await _filled(deps, scope, receive)
        except (ApiError, SluiceError) as exc:
            await rendered_error(exc)(scope, receive, send)
            return
        except Gone:
            return
        asked_with = filled.prompt, filled.version, filled.values
        chat = {**with_path(scope, _CHAT, len(filled.body)), "sluice_prompt": asked_with}
        await deps.data_plane(chat, with_body(filled.body, receive), _marked(send, filled))


async def _filled(deps: Deps, scope: Scope, receive: Receive) -> Filled:
    key = key_of(deps, dict(scope["headers"]).get(b"authorization", b""))
    fields = _fields(await read_body(receive, deps.data_plane.max_body_bytes))
    use = _use(fields.get("prompt", {}))
    following = fields.get("messages")
    if following is not None and type(following) is not list:
        raise wrong_value("messages", "must be a list; they follow the prompt's own.")
    name: str = scope["path_params"]["name"]
    whom = prompt_subject(use.subject, fields, key.tenant) or new_id("draw")
    found = await deps.prompts.version(key.tenant, name, use.version, whom)
    asked = request_of(found.template, rendered(found.template, use.variables), fields)
    return Filled(orjson.dumps(asked), name, found.version, values_in_system(found.template, use.variables))


def _fields(raw: bytes) -> dict[str, Any]:
    try:
        found = nesting.loads(raw or b"{}")
    except nesting.TooDeep as exc:
        raise InvalidRequest(f"In the body {exc.msg}. Send it flatter.", code="too_deep") from exc
    except orjson.JSONDecodeError as exc:
        raise InvalidRequest(
            f"The body is not valid JSON: {exc.msg}. Correct it and send it again.", code="invalid_json"
        ) from exc
    if type(found) is not dict:
        raise InvalidRequest(
            'The body must be a JSON object, such as {"prompt": {"variables": …}}.', code="invalid_json"
        )
    return found


def _use(said: Any) -> PromptUse:
    try:
        return PromptUse.model_validate(said)
    except ValidationError as exc:
        first = faults([{**error, "loc": ("prompt", *error["loc"])} for error in exc.errors(include_url=False)])[0]
        raise InvalidRequest(first.sentence, param=first.field, code="invalid_value") from exc


def _marked(send: Send, filled: Filled) -> Send:
    mark = (b"x-sluice-prompt", f"{filled.prompt}; version={filled.version}".encode())

    async def marked(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*without_id(message.get("headers", ())), mark]}
        await send(message)

    return marked


class AskPromptRequest(Generation):
    """A chat completion whose messages are the prompt's, followed by those that are sent; `model` and other fields replace the version's."""

    model: str | None = None  # type: ignore[assignment] # the version may name one
    prompt: PromptUse = Field(default_factory=PromptUse)
    messages: list[ChatMessage] | None = None


router = APIRouter(routes=[Route(_PATH, AskPrompt(), methods=["POST"], include_in_schema=False)])
described = APIRouter(tags=["prompts"], responses=ERRORS, dependencies=[Depends(api_key)])


@described.post(_PATH, summary="Ask a model with a stored prompt", responses=STREAM)
async def ask_prompt(name: str, body: AskPromptRequest) -> CompletionReply:
    """Fill the prompt and answer as `/v1/chat/completions` does; `x-sluice-prompt` says which version was used."""
    answered_before()
