"""Hub requests as requests of the Gemini API."""

import re
from urllib.parse import quote

import orjson

from sluice_gateway.translate import conversation, options
from sluice_gateway.translate.errors import Untranslatable
from sluice_gateway.translate.gemini import content
from sluice_gateway.translate.options import Choice, Effort, Thinking, Tool
from sluice_gateway.translate.reading import items, number, only, whole
from sluice_gateway.translate.shapes import Json, UpstreamRequest

NAME = "Gemini models"
_HANDLED = options.EVERY_PROVIDER | {
    "top_k",
    "n",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "logprobs",
    "top_logprobs",
    "safety_settings",
}
_MOST_CANDIDATES = 8
# generations that take a budget of tokens instead of a level
_BUDGETED = re.compile(r"gemini-(?:1|2)(?:\.|-)")
# the budgets that Google's own chat-completions endpoint uses: https://ai.google.dev/gemini-api/docs/openai
_BUDGETS: dict[Effort, int] = {"none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24576, "xhigh": 24576, "max": 24576}  # fmt: skip
_LEVELS: dict[Effort, str] = {"none": "MINIMAL", "minimal": "MINIMAL", "low": "LOW", "medium": "MEDIUM", "high": "HIGH", "xhigh": "XHIGH", "max": "XHIGH"}  # fmt: skip
_LOW, _MEDIUM = 4096, 16384


def build(fields: Json, upstream_model: str, max_output_tokens: int | None) -> UpstreamRequest:
    """Return the request for one answer, streamed or whole."""
    only(fields, _HANDLED, options.NEUTRAL, NAME)
    body = prompt(fields)
    config = _generation(fields, max_output_tokens)
    _think(config, options.thinking(fields), upstream_model)
    if config:
        body["generationConfig"] = config
    if fields.get("safety_settings") is not None:
        body["safetySettings"] = items(fields["safety_settings"], "safety_settings")
    method = "streamGenerateContent?alt=sse" if fields.get("stream") is True else "generateContent"
    return UpstreamRequest(path(upstream_model, method), (), orjson.dumps(body))


def path(upstream_model: str, method: str) -> str:
    """Return the path of a method; a model named with its collection (`tunedModels/x`) keeps it."""
    return f"/{quote(name(upstream_model))}:{method}"


def name(upstream_model: str) -> str:
    """Return the whole name of a model, with its collection."""
    return upstream_model if "/" in upstream_model else f"models/{upstream_model}"


def prompt(fields: Json) -> Json:
    """Return the part of the body that is read by the model."""
    talk = conversation.read(fields)
    body: Json = {"contents": content.contents(talk)}
    if talk.system:
        body["systemInstruction"] = content.system(talk)
    known = options.tools(fields)
    choice = options.choice(fields, known)
    if known:
        if options.parallel(fields) is False:
            raise Untranslatable("parallel_tool_calls", f"cannot be switched off on {NAME}.")
        body["tools"] = [{"functionDeclarations": [_tool(tool) for tool in known]}]
        config = _choice(choice)
        if config is not None:
            body["toolConfig"] = {"functionCallingConfig": config}
    return body


def _tool(tool: Tool) -> Json:
    found: Json = {"name": tool.name}
    if tool.description:
        found["description"] = tool.description
    if tool.schema:
        found["parametersJsonSchema"] = tool.schema
    return found


def _choice(choice: Choice) -> Json | None:
    if choice.mode == "none":
        return {"mode": "NONE"}
    if choice.mode == "auto":
        return {"mode": "VALIDATED", "allowedFunctionNames": list(choice.names)} if choice.names else None
    return {"mode": "ANY", "allowedFunctionNames": list(choice.names)} if choice.names else {"mode": "ANY"}


def _generation(fields: Json, max_output_tokens: int | None) -> Json:
    found: Json = {}
    limit = options.limit(fields) or max_output_tokens
    if limit is not None:
        found["maxOutputTokens"] = limit
    for name, low, high in (
        ("temperature", 0, 2),
        ("top_p", 0, 1),
        ("presence_penalty", -2, 2),
        ("frequency_penalty", -2, 2),
    ):
        if fields.get(name) is not None:
            found[_CAMEL[name]] = number(fields[name], name, low, high)
    if fields.get("top_k") is not None:
        found["topK"] = whole(fields["top_k"], "top_k")
    if fields.get("seed") is not None:
        found["seed"] = whole(fields["seed"], "seed", least=-(2**31))
    stops = options.stops(fields)
    if stops:
        found["stopSequences"] = stops
    _several(found, fields)
    _logprobs(found, fields)
    _shape(found, fields)
    return found


_CAMEL = {
    "temperature": "temperature",
    "top_p": "topP",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
}


def _several(found: Json, fields: Json) -> None:
    if fields.get("n") in (None, 1):
        return
    count = whole(fields["n"], "n")
    if count > _MOST_CANDIDATES:
        raise Untranslatable("n", f"must be at most {_MOST_CANDIDATES} on {NAME}.")
    found["candidateCount"] = count


def _logprobs(found: Json, fields: Json) -> None:
    if fields.get("logprobs") is True:
        found["responseLogprobs"] = True
        if fields.get("top_logprobs"):
            found["logprobs"] = whole(fields["top_logprobs"], "top_logprobs")


def _shape(found: Json, fields: Json) -> None:
    form = options.form(fields)
    if form.kind != "text":
        found["responseMimeType"] = "application/json"
    if form.kind == "schema":
        found["responseJsonSchema"] = form.schema


def _think(config: Json, wanted: Thinking, upstream_model: str) -> None:
    if not wanted.asked:
        return
    thinking: Json = {} if wanted.effort == "none" else {"includeThoughts": True}
    if wanted.budget is not None and wanted.effort is None:
        if _BUDGETED.search(upstream_model):
            thinking["thinkingBudget"] = wanted.budget
        else:
            thinking["thinkingLevel"] = _level(wanted.budget)
    elif wanted.effort is not None:
        if _BUDGETED.search(upstream_model):
            thinking["thinkingBudget"] = _BUDGETS[wanted.effort]
        else:
            thinking["thinkingLevel"] = _LEVELS[wanted.effort]
    config["thinkingConfig"] = thinking


def _level(budget: int) -> str:
    return "LOW" if budget < _LOW else "MEDIUM" if budget < _MEDIUM else "HIGH"
