"""What a provider's refusal comes to for the caller: its own parameters are explained, everything else is hidden."""

import re
from typing import Any, NamedTuple

import orjson

from sluice_gateway.dataplane.errors import RefusedByUpstream, UnprocessableByUpstream
from sluice_gateway.private_parts import without_private_parts

_CONTEXT = re.compile(r"context (?:length|size|window)|maximum (?:context|model length)|too many tokens", re.IGNORECASE)
# what llama.cpp answers with 500 although the request is at fault
_OF_THE_REQUEST = re.compile(r"Failed to parse (tools|messages): |(image|audio) input is not supported")
_MOST_OF_A_MESSAGE = 300
_HINT = {
    400: "Correct the request and send it again.",
    413: "Shorten the request and send it again.",
    422: "Correct the request and send it again.",
}


class Said(NamedTuple):
    """The parts of a provider's error that matter."""

    message: str
    code: str
    param: str | None
    prompt_tokens: int | None
    context_tokens: int | None


def read(body: bytes) -> Said:
    """Read an error of any provider: OpenAI's shape, vLLM's flat one, FastAPI's `detail`, a problem document."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        found = None
    outer: dict[str, Any] = found if isinstance(found, dict) else {}
    error = outer.get("error", outer)
    fields: dict[str, Any] = error if isinstance(error, dict) else {"message": error}
    message = next((fields[name] for name in ("message", "detail") if isinstance(fields.get(name), str)), "")
    inner = fields.get("innererror")
    named = [fields.get("code"), fields.get("type"), inner.get("code") if isinstance(inner, dict) else None]
    code = " ".join(name for name in named if isinstance(name, str))
    param = fields.get("param")
    return Said(
        message,
        code,
        param if isinstance(param, str) and len(param) <= 100 else None,
        _number(fields.get("n_prompt_tokens")),
        _number(fields.get("n_ctx")),
    )


def refusal(status: int, body: bytes, *, model: str, upstream_model: str) -> RefusedByUpstream:
    """Return the public error for a 400, 413 or 422 of a provider."""
    said = read(body)
    if "context_length_exceeded" in said.code or "exceed_context_size" in said.code or _CONTEXT.search(said.message):
        return _overflow(said, model)
    filtered = "content_filter" in said.code or "content_policy" in said.code or "ResponsibleAI" in said.code
    message = clean(said.message, model=model, upstream_model=upstream_model)
    sentence = (
        f"The model {model} refused the request: {message}" if message else f"The model {model} refused the request."
    )
    kind = UnprocessableByUpstream if status == 422 else RefusedByUpstream
    return kind(f"{sentence} {_HINT[status]}", param=said.param, code="content_filter" if filtered else None)


def refused_as_failure(status: int, body: bytes, *, model: str, upstream_model: str) -> RefusedByUpstream | None:
    """Return the public error for a 500 that tells of the request and not of the server, None for a failure.

    llama.cpp answers so to tools and messages that it cannot read and to images: counted as a failure, one caller's mistake would have the
    deployment rest for all.
    """
    message = read(body).message if status == 500 else ""
    found = _OF_THE_REQUEST.match(message)
    if found is None:
        return None
    field, medium = found.groups()
    if medium is not None:
        what = "images" if medium == "image" else "sound"
        sentence = f"The model {model} takes no {what}. Send text only, or use another model."
        return RefusedByUpstream(sentence, param="messages", code="unsupported_content")
    told = clean(message.partition("; tools = ")[0][:_MOST_OF_A_MESSAGE], model=model, upstream_model=upstream_model)
    return RefusedByUpstream(f"The model {model} refused the request: {told} {_HINT[400]}", param=field)


def clean(message: str, *, model: str, upstream_model: str) -> str:
    """Return a provider's sentence without what is the operator's and with the public name of the model."""
    text = message if upstream_model == model else message.replace(upstream_model, model)
    text = without_private_parts(text)
    return text if not text or text[-1] in ".!?…" else text + "."


def _overflow(said: Said, model: str) -> RefusedByUpstream:
    numbers = ""
    if said.prompt_tokens is not None and said.context_tokens is not None:
        numbers = f": the prompt has {said.prompt_tokens} tokens, the context holds {said.context_tokens}"
    return RefusedByUpstream(
        f"The request does not fit into the context of {model}{numbers}. Shorten the messages or lower `max_tokens`.",
        param="messages",
        code="context_length_exceeded",
    )


def _number(value: object) -> int | None:
    return value if type(value) is int else None
