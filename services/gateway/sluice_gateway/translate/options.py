"""What a hub request asks for besides its messages: tools, the form of the answer, sampling, and thinking."""

from typing import Literal, NamedTuple

from sluice_gateway.translate.errors import Untranslatable
from sluice_gateway.translate.reading import items, mapping, named, one_of, strings, text, whole
from sluice_gateway.translate.shapes import Json

Mode = Literal["auto", "none", "required", "tool"]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
_EFFORTS: tuple[Effort, ...] = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_MODES: tuple[Mode, ...] = ("auto", "none", "required")
_ALLOWED_MODES: tuple[Mode, ...] = ("auto", "required")

# What has no effect on an answer, so that leaving it out changes nothing; names with values have none only with those.
NEUTRAL: dict[str, tuple[object, ...] | None] = {
    "metadata": None,
    "store": None,
    "user": None,
    "safety_identifier": None,
    "prompt_cache_key": None,
    "prompt_cache_retention": None,
    "prompt_cache_options": None,
    "stream_options": None,
    "service_tier": ("auto", "default"),
    "verbosity": ("medium",),
    "n": (1,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "presence_penalty": (0, 0.0),
    "frequency_penalty": (0, 0.0),
    "modalities": (["text"],),
}
EVERY_PROVIDER = frozenset(
    {
        "model",
        "messages",
        "stream",
        "max_tokens",
        "max_completion_tokens",
        "temperature",
        "top_p",
        "stop",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "response_format",
        "reasoning_effort",
        "thinking",
    }
)


class Tool(NamedTuple):
    """A function that the model may call."""

    name: str
    description: str | None
    schema: Json | None
    strict: bool | None
    cache: Json | None = None


class Choice(NamedTuple):
    """How the model shall use the tools; `names` are those that it may use, none given meaning all."""

    mode: Mode = "auto"
    names: tuple[str, ...] = ()


class Form(NamedTuple):
    """The form of the answer: free text, any JSON object, or JSON of a schema."""

    kind: Literal["text", "json", "schema"]
    schema: Json | None = None
    name: str = "answer"
    description: str | None = None


class Thinking(NamedTuple):
    """How much the model shall think: an effort, or a number of tokens; `asked` tells that the request says anything."""

    effort: Effort | None = None
    budget: int | None = None
    asked: bool = False


def tools(fields: Json) -> list[Tool]:
    """Return the tools of a request."""
    found = []
    for place, tool in enumerate(items(fields.get("tools") or [], "tools")):
        where = f"tools[{place}]"
        outer = mapping(tool, where)
        if outer.get("type") != "function":
            raise Untranslatable(f"{where}.type", 'must be "function" for this model.')
        function = mapping(outer.get("function"), f"{where}.function")
        schema = function.get("parameters")
        strict = function.get("strict")
        description = function.get("description")
        cache = outer.get("cache_control")
        found.append(
            Tool(
                named(function, "name", f"{where}.function"),
                None if not description else text(description, f"{where}.function.description"),
                None if schema is None else mapping(schema, f"{where}.function.parameters"),
                strict if type(strict) is bool else None,
                cache if type(cache) is dict else None,
            )
        )
    return found


def choice(fields: Json, known: list[Tool]) -> Choice:
    """Return how the tools shall be used."""
    value = fields.get("tool_choice")
    if value is None:
        return Choice()
    if type(value) is str:
        mode = one_of(value, "tool_choice", _MODES)
        if mode == "required" and not known:
            raise Untranslatable("tool_choice", "demands a tool, and `tools` holds none.")
        return Choice(mode)
    named_choice = mapping(value, "tool_choice")
    kind = one_of(named_choice.get("type"), "tool_choice.type", ("function", "allowed_tools"))
    if kind == "function":
        function = mapping(named_choice.get("function"), "tool_choice.function")
        name = named(function, "name", "tool_choice.function")
        _must_be_known((name,), known, "tool_choice.function.name")
        return Choice("tool", (name,))
    allowed = mapping(named_choice.get("allowed_tools", named_choice), "tool_choice.allowed_tools")
    mode = one_of(allowed.get("mode", "auto"), "tool_choice.allowed_tools.mode", _ALLOWED_MODES)
    names = tuple(
        named(mapping(mapping(item, "tool_choice.allowed_tools.tools").get("function"), "tool_choice.allowed_tools.tools"),
              "name", "tool_choice.allowed_tools.tools.function")
        for item in items(allowed.get("tools"), "tool_choice.allowed_tools.tools")
    )  # fmt: skip
    _must_be_known(names, known, "tool_choice.allowed_tools.tools")
    return Choice(mode, names)


def _must_be_known(names: tuple[str, ...], known: list[Tool], where: str) -> None:
    have = {tool.name for tool in known}
    for name in names:
        if name not in have:
            raise Untranslatable(where, f'names "{name}", and `tools` holds no such tool.')


def allowed(known: list[Tool], wanted: Choice) -> list[Tool]:
    """Return the tools that the choice leaves."""
    return [tool for tool in known if not wanted.names or wanted.mode == "tool" or tool.name in wanted.names]


def parallel(fields: Json) -> bool | None:
    """Return whether several calls at once are wanted, None when the request does not say."""
    value = fields.get("parallel_tool_calls")
    if value is not None and type(value) is not bool:
        raise Untranslatable("parallel_tool_calls", "must be true or false.")
    return value


def form(fields: Json) -> Form:
    """Return the form that the answer shall have."""
    value = fields.get("response_format")
    if value is None:
        return Form("text")
    given = mapping(value, "response_format")
    kind = one_of(given.get("type"), "response_format.type", ("text", "json_object", "json_schema"))
    if kind != "json_schema":
        return Form("json" if kind == "json_object" else "text")
    inner = mapping(given.get("json_schema"), "response_format.json_schema")
    name, description = inner.get("name"), inner.get("description")
    return Form(
        "schema",
        mapping(inner.get("schema"), "response_format.json_schema.schema"),
        name if type(name) is str and name else "answer",
        description if type(description) is str and description else None,
    )


def limit(fields: Json) -> int | None:
    """Return the highest number of tokens that the answer may have."""
    for name in ("max_completion_tokens", "max_tokens"):
        value = fields.get(name)
        if value is not None:
            return whole(value, name)
    return None


def stops(fields: Json) -> list[str]:
    """Return the texts that end the answer."""
    value = fields.get("stop")
    return [] if value is None else strings(value, "stop")


def thinking(fields: Json) -> Thinking:
    """Return how much the model shall think.

    Besides OpenAI's `reasoning_effort` the hub knows Anthropic's `thinking` object, which many clients send to any API.
    """
    wanted = fields.get("reasoning_effort")
    effort = None if wanted is None else one_of(wanted, "reasoning_effort", _EFFORTS)
    value = fields.get("thinking")
    if value is None:
        return Thinking(effort, None, asked=effort is not None)
    given = mapping(value, "thinking")
    kind = one_of(given.get("type"), "thinking.type", ("enabled", "disabled", "adaptive", "between_tools"))
    if kind == "disabled":
        return Thinking("none", None, asked=True)
    if kind == "enabled":
        return Thinking(effort, whole(given.get("budget_tokens"), "thinking.budget_tokens"), asked=True)
    return Thinking(effort, None, asked=True)
