"""Requests of the Responses API as hub requests."""

from typing import Any

from sluice_gateway.translate import hub
from sluice_gateway.translate.errors import Untranslatable
from sluice_gateway.translate.reading import items, mapping, named, one_of, only, text
from sluice_gateway.translate.responses import thoughts
from sluice_gateway.translate.shapes import Json

_OTHER = "this endpoint"
_COPIED = ("model", "temperature", "top_p", "stream", "parallel_tool_calls", "metadata", "user", "safety_identifier",
           "service_tier", "prompt_cache_key", "top_logprobs")  # fmt: skip
_HANDLED = frozenset({*_COPIED, "input", "instructions", "max_output_tokens", "tools", "tool_choice", "text", "reasoning",
                      "include"})  # fmt: skip
_STATEFUL = {
    "previous_response_id": "is not known here. Send the whole conversation as `input`.",
    "conversation": "is not known here. Send its messages as `input`.",
    "prompt": "names a prompt that is stored at OpenAI. Send its text as `instructions`, or store it here (/v1/prompts).",
}
_NEUTRAL: dict[str, tuple[object, ...] | None] = {
    "store": None,
    "background": (False,),
    "truncation": ("disabled", "auto"),
    "stream_options": None,
    "prompt_cache_retention": None,
    "prompt_cache_options": None,
    "context_management": ([],),
}
_SIDES = ("user", "assistant", "system", "developer")


def to_hub(fields: Json) -> Json:
    """Return the hub request for a Responses request.

    Raises:
        Untranslatable: a field, item or tool has no counterpart, or needs an answer that was given before.
    """
    for name, rule in _STATEFUL.items():
        if fields.get(name) is not None:
            raise Untranslatable(name, rule)
    only(fields, _HANDLED, _NEUTRAL, _OTHER)
    found: Json = {name: fields[name] for name in _COPIED if fields.get(name) is not None}
    found["messages"] = _messages(fields)
    if fields.get("max_output_tokens") is not None:
        found["max_tokens"] = fields["max_output_tokens"]
    if fields.get("stream") is True:
        found["stream_options"] = {"include_usage": True}
    if "message.output_text.logprobs" in items(fields.get("include") or [], "include") or found.get("top_logprobs"):
        found["logprobs"] = True
    _use_tools(found, fields)
    _shape(found, fields)
    reasoning = mapping(fields.get("reasoning") or {}, "reasoning")
    if reasoning.get("effort") is not None:
        found["reasoning_effort"] = text(reasoning["effort"], "reasoning.effort")
    return found


def _shape(found: Json, fields: Json) -> None:
    wanted = mapping(fields.get("text") or {}, "text")
    if wanted.get("verbosity") is not None:
        found["verbosity"] = wanted["verbosity"]
    if wanted.get("format") is None:
        return
    form = mapping(wanted["format"], "text.format")
    kind = one_of(form.get("type"), "text.format.type", ("text", "json_object", "json_schema"))
    if kind == "json_schema":
        inner = {name: form[name] for name in ("name", "description", "schema", "strict") if form.get(name) is not None}
        found["response_format"] = {"type": kind, "json_schema": inner}
    elif kind == "json_object":
        found["response_format"] = {"type": kind}


def _use_tools(found: Json, fields: Json) -> None:
    tools = []
    for place, tool in enumerate(items(fields.get("tools") or [], "tools")):
        where = f"tools[{place}]"
        given = mapping(tool, where)
        if given.get("type") != "function":
            raise Untranslatable(f"{where}.type", 'must be "function": other tools run at OpenAI.')
        function = {
            name: given[name] for name in ("name", "description", "parameters", "strict") if given.get(name) is not None
        }
        tools.append({"type": "function", "function": function})
    if tools:
        found["tools"] = tools
    choice = fields.get("tool_choice")
    if choice is None or (choice == "auto" and not tools):
        return
    found["tool_choice"] = choice if type(choice) is str else _choice(mapping(choice, "tool_choice"))


def _choice(choice: Json) -> Json:
    kind = one_of(choice.get("type"), "tool_choice.type", ("function", "allowed_tools"))
    if kind == "function":
        return {"type": "function", "function": {"name": named(choice, "name", "tool_choice")}}
    tools = [
        {
            "type": "function",
            "function": {"name": named(mapping(tool, "tool_choice.tools"), "name", "tool_choice.tools")},
        }
        for tool in items(choice.get("tools"), "tool_choice.tools")
    ]
    return {"type": kind, "allowed_tools": {"mode": choice.get("mode", "auto"), "tools": tools}}


def _messages(fields: Json) -> list[Json]:
    out: list[Json] = []
    if fields.get("instructions") is not None:
        out.append({"role": "system", "content": text(fields["instructions"], "instructions")})
    given = fields.get("input")
    if type(given) is str:
        return [*out, {"role": "user", "content": given}]
    if type(given) is not list or not (given or out):
        raise Untranslatable("input", "must be a text, or a list with at least one item.")
    for place, item in enumerate(given):
        where = f"input[{place}]"
        found = mapping(item, where)
        kind = found.get("type", "message")
        handle = _ITEMS.get(kind) if isinstance(kind, str) else None
        if handle is None:
            raise Untranslatable(f"{where}.type", f'"{kind}" has no counterpart on {_OTHER}.')
        handle(found, where, out)
    return out


def _message(item: Json, where: str, out: list[Json]) -> None:
    role = one_of(item.get("role"), f"{where}.role", _SIDES)
    content = item.get("content")
    if type(content) is not str:
        parts = items(content, f"{where}.content")
        content = [_part(part, f"{where}.content[{place}]") for place, part in enumerate(parts)]
    if role != "assistant":
        out.append({"role": role, "content": content})
        return
    said = _turn(out)
    if said.get("content") is None:
        said["content"] = content
    else:
        said["content"] = [*_listed(said["content"]), *_listed(content)]


def _listed(content: Any) -> list[Any]:
    return [{"type": "text", "text": content}] if type(content) is str else content


def _turn(out: list[Json]) -> Json:
    """Return the assistant's message that the next item belongs to."""
    if not out or out[-1]["role"] != "assistant":
        out.append({"role": "assistant", "content": None})
    return out[-1]


def _call(item: Json, where: str, out: list[Json]) -> None:
    call = hub.tool_call(
        named(item, "call_id", where), named(item, "name", where), text(item.get("arguments", ""), f"{where}.arguments")
    )
    _turn(out).setdefault("tool_calls", []).append(call)


def _output(item: Json, where: str, out: list[Json]) -> None:
    output = item.get("output")
    if type(output) is not str:
        parts = items(output, f"{where}.output")
        output = [_part(part, f"{where}.output[{place}]") for place, part in enumerate(parts)]
    out.append({"role": "tool", "tool_call_id": named(item, "call_id", where), "content": output})


def _reasoning(item: Json, where: str, out: list[Json]) -> None:
    sealed = item.get("encrypted_content")
    if sealed is not None:
        details = thoughts.opened(text(sealed, f"{where}.encrypted_content"))
        if details:
            _turn(out).setdefault("reasoning_details", []).extend(details)


def _summary(_item: Json, where: str, _out: list[Json]) -> None:
    raise Untranslatable(
        f"{where}.encrypted_content",
        "was sealed by a provider, whose models alone can read it. Send the whole conversation, or what POST /v1/responses/compact makes of it.",
    )


_ITEMS = {
    "message": _message,
    "function_call": _call,
    "function_call_output": _output,
    "reasoning": _reasoning,
    "compaction": _summary,
}


def _part(part: object, where: str) -> Json:
    given = mapping(part, where)
    kind = given.get("type")
    if kind in ("input_text", "output_text", "text"):
        return {"type": "text", "text": text(given.get("text"), f"{where}.text")}
    if kind == "refusal":
        return {"type": "refusal", "refusal": text(given.get("refusal"), f"{where}.refusal")}
    if given.get("file_id") is not None:
        raise Untranslatable(f"{where}.file_id", "names a file that is stored at OpenAI. Send its data instead.")
    if kind == "input_image":
        image: Json = {"url": named(given, "image_url", where)}
        return {"type": "image_url", "image_url": image | ({"detail": given["detail"]} if given.get("detail") else {})}
    if kind == "input_file":
        return {"type": "file", "file": _file(given, where)}
    raise Untranslatable(f"{where}.type", f'"{kind}" has no counterpart on {_OTHER}.')


def _file(given: Json, where: str) -> Json:
    if given.get("file_url") is not None:
        return {"filename": given.get("filename") or "document.pdf", "file_data": named(given, "file_url", where)}
    return {"filename": given.get("filename") or "document.pdf", "file_data": named(given, "file_data", where)}
