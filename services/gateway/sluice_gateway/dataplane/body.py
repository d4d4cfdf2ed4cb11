"""Reading a request body: JSON, the types that matter here, and the bytes that go upstream.

Only what the gateway decides on is looked at; every other field passes through to the provider untouched.
"""

import re
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple, TypeGuard

import orjson

from sluice_gateway import nesting
from sluice_gateway.dataplane import file_search, names
from sluice_gateway.dataplane.errors import InvalidRequest, wrong_value
from sluice_gateway.dataplane.extension import SluiceOptions, extension_of
from sluice_gateway.dataplane.media import check_form, check_image, check_speech
from sluice_gateway.dataplane.ranking import check_ranking
from sluice_gateway.domain.tags import checked_tags
from sluice_gateway.translate.errors import Untranslatable
from sluice_gateway.translate.shapes import Client

Kind = Literal["chat", "completion", "embedding", "rerank", "moderation", "image", "speech", "edit", "transcription"]
Fields = dict[str, Any]

_LONG = 2048  # bytes of a body from where on it takes longer to search it than to look how it begins
_STREAM_TAIL = b',"stream_options":{"include_usage":true}}'


class ParsedBody(NamedTuple):
    """A body whose types were checked.

    `canonical` says that the bytes must be written anew from `fields` (a duplicated or escaped name could mean one thing here
    and another upstream). `native` holds the fields as they came when the client speaks another API than OpenAI's;
    `untranslatable` says why `fields` is not a translation of them, so that nothing but such a provider may read them.
    `links` are the addresses that the model's server will fetch; `tags` stood in `metadata.tags`, from which they are taken out.
    `plain` says that the content of all messages is text and nothing else.
    """

    fields: Fields
    model: str
    stream: bool
    wants_usage: bool
    max_tokens: int | None
    extension: SluiceOptions | None
    canonical: bool
    native: Fields | None = None
    untranslatable: InvalidRequest | None = None
    links: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    plain: bool = False


def parse(raw: bytes, kind: Kind, default_model: str | None = None) -> ParsedBody:
    """Parse and check a body of OpenAI's API; `default_model` is meant where it names no model.

    Raises:
        InvalidRequest: it is no JSON object, or a field has a wrong type or value.
    """
    fields = read_object(raw)
    if not names.USUAL.issuperset(fields):
        names.check_fields(fields)
    if "tools" in fields:
        fields = file_search.in_our_words(fields)
    body = _checked_body(raw, fields, kind, default_model)
    if kind == "speech":
        return body._replace(stream=True, wants_usage=True)  # sound passes as it comes, with counts or without
    return body._replace(wants_usage=True) if kind == "image" else body


def parse_fields(fields: Fields, kind: Kind) -> ParsedBody:
    """Check the texts of a form.

    Raises:
        InvalidRequest: as `parse`.
    """
    # Numbers are texts here, which the provider judges; all but the number of images, which decides what is reserved.
    if kind == "edit" and "n" in fields:
        _check_count(int(fields["n"]) if _COUNT.fullmatch(fields["n"]) else None)
    body = _checked_body(b"", {name: value for name, value in fields.items() if name not in _CHECKED}, kind)
    return body._replace(fields=fields, stream=fields.get("stream") == "true", wants_usage=True)


def parse_foreign(raw: bytes, client: Client, default_model: str | None = None) -> ParsedBody:
    """Parse a body of another API, and turn it into a chat of OpenAI's, which is what all stages read; `default_model` as in `parse`.

    Raises:
        InvalidRequest: as `parse`, or something in it has no counterpart.
    """
    native = read_object(raw)
    names.check_fields(native)
    for field in ("messages", "input"):
        if type(told := native.get(field)) is list:
            names.check_messages(told, field)
    if client.style == "responses":
        native = file_search.in_our_words(native)
    came = native
    if default_model is not None and not native.get("model"):
        native = {**native, "model": default_model}
    native, tags = _without_tags(native) if "metadata" in native else (native, ())
    problem: InvalidRequest | None = None
    try:
        fields = client.request({name: value for name, value in native.items() if name != "sluice"})
    except Untranslatable as exc:
        # It may still go to a provider that speaks the same API.
        problem = InvalidRequest(exc.message, param=exc.param, code=exc.code)
        fields = {name: native[name] for name in ("model", "stream", "max_tokens") if name in native}
        fields["messages"] = [{"role": "user", "content": ""}]
    if "sluice" in native:
        fields = {**fields, "sluice": native["sluice"]}
    body = _checked_body(raw, fields, "chat")
    links = body.links
    if b"url" in raw or b"\\u00" in raw:  # also what is not translated may reach a provider of the same API
        links = tuple(dict.fromkeys((*links, *_links_in(native))))
    return body._replace(
        wants_usage=True,
        canonical=body.canonical or native is not came,
        native=native,
        untranslatable=problem,
        links=links,
        tags=tags,
    )


def _checked_body(raw: bytes, fields: Fields, kind: Kind, default_model: str | None = None) -> ParsedBody:
    given, model = fields, fields.get("model")
    if not model and default_model is not None:
        fields, model = {**fields, "model": default_model}, default_model
    if type(model) is not str or not model:
        raise wrong_value("model", "must be the name of a model, as a string. GET /v1/models lists the names.")
    if len(model) > 200:
        raise wrong_value("model", "must be at most 200 characters long.")
    has_parts = _CONTENT[kind](fields)
    stream, max_tokens = False, None
    tags: tuple[str, ...] = ()
    if not _LOOKED_AT.isdisjoint(fields):
        stream, max_tokens = _checked(fields)
        fields, tags = _without_tags(fields) if "metadata" in fields else (fields, ())
    if stream and kind in _WHOLE:
        raise wrong_value("stream", f"must not be true: {_WHOLE[kind]} are not streamed.")
    options = fields.get("stream_options")
    return ParsedBody(
        fields,
        model,
        stream,
        options is not None and _stream_options(options, stream=stream),
        max_tokens,
        extension_of(fields) if "sluice" in fields else None,
        fields is not given or _is_ambiguous(raw, model),
        tags=tags,
        links=_links(fields) if has_parts else (),
        plain=not has_parts,
    )


def _is_ambiguous(raw: bytes, model: str) -> bool:
    # Whether another reader could find another model in it: a name given twice, or one that is escaped. What counts here is the last one;
    # a body that begins with the same has it first and last, whatever stands between.
    if len(raw) > _LONG:
        name = model.encode()
        if raw.startswith((b'{"model":"%b"' % name, b'{"model": "%b"' % name)) and not (b'"' in name or b"\\" in name):
            return False
    # Searching from the end is three times as fast as from the start, and a prompt may be long.
    last = raw.rfind(b'"model"')
    return raw.rfind(b'"model"', 0, max(0, last)) >= 0 or raw.rfind(b"\\u006") >= 0


def upstream_bytes(raw: bytes, parsed: ParsedBody, fields: Fields, upstream_model: str, *, changed: bool) -> bytes:
    """Return what goes upstream: the bytes that came, unless something in them has to change.

    The `sluice` object is taken out, `model` is replaced where the deployment calls it otherwise, and a stream whose
    caller did not ask for its usage is made to report it. `fields` is the parsed body after all stages, `changed` tells
    whether one of them changed or checked it.
    """
    if not (changed or parsed.canonical or parsed.extension is not None or upstream_model != parsed.model):
        if not parsed.stream or parsed.wants_usage:
            return raw
        if "stream_options" not in fields:
            return raw[: raw.rindex(b"}")] + _STREAM_TAIL
    out = {**fields, "model": upstream_model}
    out.pop("sluice", None)
    if parsed.stream and not parsed.wants_usage:
        out["stream_options"] = {**(fields.get("stream_options") or {}), "include_usage": True}
    return orjson.dumps(out)


def read_object(raw: bytes) -> Fields:
    """Return the JSON object that a body is."""
    try:
        fields = nesting.loads(raw)
    except nesting.TooDeep as exc:
        raise InvalidRequest(f"In the body {exc.msg}. Send it flatter.", code="too_deep") from exc
    except orjson.JSONDecodeError as exc:
        if not raw:
            raise InvalidRequest("The body is empty. Send a JSON object.", code="invalid_json") from exc
        raise InvalidRequest(
            f"The body is not valid JSON: {exc.msg} (line {exc.lineno}, column {exc.colno}). Correct it and send it again.",
            code="invalid_json",
        ) from exc
    if type(fields) is not dict:
        raise InvalidRequest('The body must be a JSON object, such as {"model": …}.', code="invalid_json")
    return fields


def _checked(fields: Fields) -> tuple[bool, int | None]:
    # In the order of the body, so that its first mistake is the one that is told of.
    stream = False
    max_tokens: int | None = None
    for name, value in fields.items():
        if value is None or name not in _CHECKED:
            continue
        if name in _MAX_TOKENS:
            max_tokens = _positive(name, value, max_tokens)
        elif name == "stream":
            stream = _flag(value)
        else:
            _SAMPLING[name](value)
    return stream, max_tokens


def _without_tags(fields: Fields) -> tuple[Fields, tuple[str, ...]]:
    # A list in `metadata` is ours: providers that keep metadata take texts only. A text named `tags` is the caller's own.
    metadata = fields["metadata"]
    if type(metadata) is not dict or type(metadata.get("tags")) is not list:
        return fields, ()
    try:
        tags = checked_tags(metadata["tags"])
    except ValueError as exc:
        raise wrong_value("metadata.tags", str(exc)) from exc
    rest = {name: value for name, value in metadata.items() if name != "tags"}
    others = {name: value for name, value in fields.items() if name != "metadata"}
    return {**others, "metadata": rest} if rest else others, tags


def _flag(value: object) -> bool:
    if type(value) is not bool:
        raise wrong_value("stream", "must be true or false.")
    return value


def _check_messages(fields: Fields) -> bool:
    # Tells whether a message has content parts.
    messages = fields.get("messages")
    if type(messages) is not list or not messages:
        raise wrong_value("messages", "must be a list with at least one message.")
    for message in messages:
        if (
            type(message) is not dict
            or len(message) != _PLAIN
            or type(message.get("role")) is not str
            or type(message.get("content")) is not str
        ):
            return sum(_check_message(message, index) for index, message in enumerate(messages)) > 0
    return False


def _check_message(message: Any, index: int) -> bool:
    if type(message) is not dict:
        raise wrong_value(f"messages[{index}]", "must be an object with `role` and `content`.")
    names.check_message(message, f"messages[{index}].")
    if type(message.get("role")) is not str:
        raise wrong_value(f"messages[{index}].role", 'must be a string such as "user".')
    content = message.get("content")
    if content is None or type(content) is str:
        return False
    _check_parts(content, index)
    return True


def _check_parts(content: object, index: int) -> None:
    if type(content) is not list:
        raise wrong_value(f"messages[{index}].content", "must be a string or a list of content parts.")
    for place, part in enumerate(content):
        if type(part) is not dict or type(part.get("type")) is not str:
            raise wrong_value(f"messages[{index}].content[{place}]", "must be an object with a `type`.")
        if part["type"] == "text" and type(part.get("text")) is not str:
            raise wrong_value(f"messages[{index}].content[{place}].text", "must be a string.")


def _links_in(value: object) -> Iterator[str]:
    # In another API's body: `image_url` and `file_url` with the address itself, and sources of the type `url`.
    if type(value) is list:
        for item in value:
            yield from _links_in(item)
    elif type(value) is dict:
        for name, item in value.items():
            if type(item) is not str:
                yield from _links_in(item)
            elif name.endswith("_url") or (name == "url" and value.get("type") == "url"):
                yield item


def _links(fields: Fields) -> tuple[str, ...]:
    # An image, sound, film or file by its address: `image_url` and the like, as an object or as the address itself.
    found: list[str] = []
    for message in fields["messages"]:
        content = message.get("content")
        for part in content if type(content) is list else ():
            for name, value in part.items():
                if name.endswith("_url"):
                    link = value.get("url") if type(value) is dict else value
                    if type(link) is str:
                        found.append(link)
                elif type(value) is dict and type(value.get("file_data")) is str:
                    found.append(value["file_data"])  # base64, or on some servers an address
    return tuple(found)


def _check_prompt(fields: Fields) -> bool:
    if not _is_text_or_tokens(fields.get("prompt")):
        raise wrong_value("prompt", "must be a string, a list of strings, or lists of token numbers.")
    return False


def _check_input(fields: Fields) -> bool:
    if not _is_text_or_tokens(fields.get("input")):
        raise wrong_value("input", "must be a string, a list of strings, or lists of token numbers, and not empty.")
    return False


def _is_text_or_tokens(value: object) -> bool:
    if type(value) is str:
        return True
    if type(value) is not list or not value:
        return False
    if all(type(item) is str for item in value) or _are_tokens(value):
        return True
    return all(type(item) is list and bool(item) and _are_tokens(item) for item in value)


def _are_tokens(value: list[object]) -> bool:
    return all(type(item) is int and item >= 0 for item in value)


def _check_temperature(value: object) -> None:
    if not (_is_number(value) and 0 <= value <= 2):
        raise wrong_value("temperature", "must be a number from 0 to 2.")


def _check_top_p(value: object) -> None:
    if not (_is_number(value) and 0 < value <= 1):
        raise wrong_value("top_p", "must be a number above 0 and at most 1.")


def _check_top_k(value: object) -> None:
    # 0 and -1 switch it off, as engines have it.
    if type(value) is not int or not -1 <= value <= _MOST_TOP_K:
        raise wrong_value("top_k", f"must be a whole number from 1 to {_MOST_TOP_K}; 0 or -1 switch it off.")


def _check_count(value: object) -> None:
    if type(value) is not int or not 1 <= value <= 128:
        raise wrong_value("n", "must be a whole number from 1 to 128.")


def _is_number(value: object) -> TypeGuard[float]:
    return type(value) is float or type(value) is int


def _positive(name: str, value: object, other: int | None) -> int:
    # `max_tokens` and its newer name: the smaller counts where both stand.
    if type(value) is not int or value < 1:
        raise wrong_value(name, "must be a whole number of at least 1.")
    return value if other is None else min(value, other)


def _stream_options(options: object, *, stream: bool) -> bool:
    if type(options) is not dict:
        raise wrong_value("stream_options", 'must be an object such as {"include_usage": true}.')
    if not stream:
        raise wrong_value("stream_options", 'goes only with "stream": true. Leave it out or set stream to true.')
    wanted = options.get("include_usage")
    if wanted is not None and type(wanted) is not bool:
        raise wrong_value("stream_options.include_usage", "must be true or false.")
    return bool(wanted)


_CONTENT = {
    "chat": _check_messages,
    "completion": _check_prompt,
    "embedding": _check_input,
    "rerank": check_ranking,
    "image": check_image,
    "speech": check_speech,
    "edit": check_form,
    "transcription": check_form,
}
_PLAIN = 2  # names of a message that holds a text and no more: `role` and `content`
_WHOLE = {"embedding": "embeddings", "rerank": "rankings"}
_MOST_TOP_K = 1_000_000
_SAMPLING = {"temperature": _check_temperature, "top_p": _check_top_p, "top_k": _check_top_k, "n": _check_count}
_MAX_TOKENS = frozenset({"max_tokens", "max_completion_tokens"})
_COUNT = re.compile(r"[0-9]{1,3}")
_CHECKED = frozenset({"stream", *_MAX_TOKENS, *_SAMPLING})
_LOOKED_AT = _CHECKED | {"metadata"}
