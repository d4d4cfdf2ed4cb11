"""Structured output: the form that a request demands of its answer, and how each engine is told of it.

A request may say it in OpenAI's way (`response_format`, `tools`), in vLLM's (`structured_outputs`, or `guided_*` of older
versions) or with llama.cpp's `grammar`; it reaches each engine in that engine's own terms.
"""

from typing import Any, Literal, NamedTuple

import orjson

from sluice_gateway.dataplane.body import Fields, Kind
from sluice_gateway.dataplane.errors import wrong_value
from sluice_gateway.domain.regex_grammar import NoGrammar, grammar_of_choice, grammar_of_regex, patterns_spelled_out
from sluice_gateway.domain.xml_form import form_of

TextKind = Literal["object", "schema", "regex", "choice", "grammar", "xml"]
LLAMACPP, VLLM = "llamacpp", "vllm"
_GUIDED: dict[str, TextKind] = {
    "guided_json": "schema",
    "guided_regex": "regex",
    "guided_choice": "choice",
    "guided_grammar": "grammar",
    "grammar": "grammar",
}
_OUTPUTS: dict[str, TextKind] = {
    "json": "schema",
    "regex": "regex",
    "choice": "choice",
    "grammar": "grammar",
    "json_object": "object",
    "xml": "xml",
}
_WRITTEN = frozenset({"chat", "completion"})
_WITH_SCHEMAS = ("response_format", "json_schema", "tools")
_OBJECT = {"type": "object"}
_MOST_CHOICES = 1000
_MOST_LETTERS = 50_000
_CALLS = ("tools", "tool_choice")
STRUCTURED = frozenset({"response_format", "structured_outputs", *_CALLS, *_GUIDED})


class TextForm(NamedTuple):
    """What a text must be: `rule` is a JSON schema, a regular expression, the list of choices, a grammar, or `root` and `schema` of XML.

    `field` names where the request says so.
    """

    kind: TextKind
    rule: Any
    field: str


class Tools(NamedTuple):
    """The functions that may be called, with the schemas of their arguments (None: anything).

    `must` says that one has to be called; `closed` that there are no others, such as tools which the provider brings along.
    """

    schemas: dict[str, Fields | bool | None]
    must: bool
    closed: bool


class Structure(NamedTuple):
    """All that a request demands of its answer's form."""

    text: TextForm | None
    tools: Tools | None


def structure_of(fields: Fields, kind: Kind) -> Structure | None:
    """Return what a request demands, None if it demands nothing.

    Raises:
        InvalidRequest: it contradicts itself, or a value makes no sense.
    """
    if kind not in _WRITTEN:
        return None
    text, tools = _text(fields), _tools(fields)
    return None if text is None and tools is None else Structure(text, tools)


def in_terms_of(engine: str, structure: Structure, fields: Fields, kind: Kind) -> Fields:
    """Return a request's fields in the terms of an engine (a deployment's `provider`); others get them as they came.

    Raises:
        InvalidRequest: llama.cpp has no grammar for the regular expression, or does not read this kind of grammar.
        NoXmlForm: the schema of the XML has none, which its check has told before.
    """
    form = structure.text
    out = fields if form is None or engine not in (LLAMACPP, VLLM) else _form_in_terms_of(engine, form, fields, kind)
    if engine in (LLAMACPP, VLLM) and structure.tools is not None and _allowed(out.get("tool_choice")) is not None:
        out = _only_allowed(out, structure.tools)
    if engine == VLLM and structure.tools is not None and structure.tools.must:
        return {**out, "tools": [_strict(tool) for tool in out["tools"]]}
    if engine != LLAMACPP:
        return out
    given = {name: out[name] for name in _WITH_SCHEMAS if name in out}
    if b'"pattern"' not in orjson.dumps(given):
        return out  # a microsecond, where looking at each rule takes tens
    changed = {name: new for name, old in given.items() if (new := patterns_spelled_out(old)) != old}
    return {**out, **changed} if changed else out


def _only_allowed(fields: Fields, tools: Tools) -> Fields:
    # These engines know no `allowed_tools`: they get the allowed ones alone.
    functions = [tool.get("function") if type(tool) is dict else None for tool in fields["tools"]]
    allowed = [type(one) is dict and one.get("name") in tools.schemas for one in functions]
    kept = [tool for tool, may_be in zip(fields["tools"], allowed, strict=True) if may_be]
    return {**fields, "tools": kept, "tool_choice": "required" if tools.must else "auto"}


def _strict(tool: Any) -> Any:
    # vLLM (0.32) makes a call that has to come with free arguments, a number or a list even, unless the function says `strict`.
    function = tool.get("function") if type(tool) is dict else None
    if type(function) is not dict or "strict" in function or type(function.get("parameters")) is not dict:
        return tool
    return {**tool, "function": {**function, "strict": True}}


def _form_in_terms_of(engine: str, form: TextForm, fields: Fields, kind: Kind) -> Fields:
    if form.field == "response_format" and kind == "chat":
        return fields
    out = {name: value for name, value in fields.items() if name not in STRUCTURED or name in _CALLS}
    if engine == VLLM:
        given = fields.get("structured_outputs")
        name = next(name for name, known in _OUTPUTS.items() if known == form.kind)
        more = given if type(given) is dict else {}
        if form.kind == "xml":
            kept = {name: value for name, value in more.items() if name != "xml"}
            return {**out, "structured_outputs": {**kept, "grammar": _grammar(form)}}
        return {**out, "structured_outputs": {**more, name: True if form.kind == "object" else form.rule}}
    if form.kind in ("schema", "object"):
        if kind == "completion":
            return {**out, "json_schema": form.rule}
        return {
            **out,
            "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": form.rule}},
        }
    return {**out, "grammar": _grammar(form)}


def is_gbnf(grammar: str) -> bool:
    """Tell whether a text of a grammar is meant as GBNF, and not as Lark."""
    return "::=" in grammar


def _grammar(form: TextForm) -> str:
    if form.kind == "choice":
        return grammar_of_choice(form.rule)
    if form.kind == "grammar":
        if not is_gbnf(form.rule):
            raise wrong_value(
                form.field,
                "is no GBNF (`root ::= …`), which is what the engine of this model reads (llama.cpp). Write it so, or use another model.",
            )
        return str(form.rule)
    if form.kind == "xml":
        return form_of(**form.rule).grammar()
    try:
        return grammar_of_regex(form.rule)
    except NoGrammar as exc:
        raise wrong_value(form.field, f"{exc}. Write it without, or use another model.") from exc


def _text(fields: Fields) -> TextForm | None:
    found = [form for form in (_response_format(fields), _outputs(fields), *_guided(fields)) if form is not None]
    if len(found) > 1:
        raise wrong_value(found[1].field, f"does not go together with `{found[0].field}`. Leave one of them out.")
    return found[0] if found else None


def _response_format(fields: Fields) -> TextForm | None:
    given = fields.get("response_format")
    if given is None:
        return None
    if type(given) is not dict:
        raise wrong_value("response_format", 'must be an object such as {"type": "json_object"}.')
    kind = given.get("type")
    if kind == "json_object":
        return TextForm("object", _schema(given.get("schema", _OBJECT), "response_format.schema"), "response_format")
    if kind != "json_schema":
        return None
    inner = given.get("json_schema")
    if type(inner) is not dict:
        raise wrong_value("response_format.json_schema", "must be an object with `name` and `schema`.")
    where = "response_format.json_schema.schema"
    return TextForm("schema", _schema(inner.get("schema"), where), "response_format")


def _outputs(fields: Fields) -> TextForm | None:
    given = fields.get("structured_outputs")
    if given is None:
        return None
    if type(given) is not dict:
        raise wrong_value("structured_outputs", 'must be an object such as {"regex": "[0-9]+"}.')
    said = [name for name in _OUTPUTS if given.get(name) not in (None, False)]
    if len(said) > 1:
        raise wrong_value("structured_outputs", f"must hold one of {', '.join(_OUTPUTS)}, not several.")
    if not said:
        return None
    return _form(_OUTPUTS[said[0]], given[said[0]], "structured_outputs", said[0])


def _guided(fields: Fields) -> list[TextForm]:
    return [_form(kind, fields[name], name) for name, kind in _GUIDED.items() if fields.get(name) is not None]


def _form(kind: TextKind, value: Any, field: str, inner: str | None = None) -> TextForm:
    where = field if inner is None else f"{field}.{inner}"
    if kind == "object":
        return TextForm(kind, _OBJECT, field)
    if kind == "schema":
        return TextForm(kind, _schema(value, where), field)
    if kind == "xml":
        return TextForm(kind, _xml(value, where), field)
    if kind == "choice":
        if type(value) is not list or not 0 < len(value) <= _MOST_CHOICES or any(type(one) is not str for one in value):
            raise wrong_value(where, f"must be a list of 1 to {_MOST_CHOICES} strings.")
        return TextForm(kind, value, field)
    if type(value) is not str or not 0 < len(value) <= _MOST_LETTERS:
        raise wrong_value(where, f"must be a string of 1 to {_MOST_LETTERS} characters.")
    return TextForm(kind, value, field)


def _xml(value: Any, where: str) -> dict[str, Any]:
    if type(value) is not dict or set(value) != {"root", "schema"}:
        raise wrong_value(
            where, 'must be an object with `root` and `schema`, such as {"root": "person", "schema": {…}}.'
        )
    return {"root": value["root"], "schema": _schema(value["schema"], f"{where}.schema")}


def _schema(value: Any, where: str) -> Any:
    if type(value) not in (dict, bool):
        raise wrong_value(where, "must be a JSON schema, as an object.")
    return value


def _tools(fields: Fields) -> Tools | None:
    given, choice = fields.get("tools"), fields.get("tool_choice")
    if not given and (choice == "required" or type(choice) is dict):
        raise wrong_value("tool_choice", "demands a call, and there are no `tools`. Send them, or leave it out.")
    if type(given) is not list or not given or choice == "none":
        return None
    functions = [tool.get("function") for tool in given if type(tool) is dict and tool.get("type") == "function"]
    schemas = {
        one["name"]: one.get("parameters") for one in functions if type(one) is dict and type(one.get("name")) is str
    }
    if not schemas:
        return None
    closed = len(functions) == len(given)
    if choice is not None and type(choice) not in (str, dict):
        raise wrong_value(
            "tool_choice", 'must be "none", "auto" or "required", or an object that names a function of `tools`.'
        )
    named = choice.get("function") if type(choice) is dict and choice.get("type") == "function" else None
    if type(named) is dict:
        return Tools(_of(schemas, [named], closed=closed), must=True, closed=True)
    if (allowed := _allowed(choice)) is not None:
        called = [tool["function"] for tool in allowed["tools"] if type(tool) is dict and "function" in tool]
        alone = closed and len(called) == len(allowed["tools"])
        return Tools(_of(schemas, called, closed=closed), must=allowed.get("mode") == "required", closed=alone)
    return Tools(schemas, must=choice == "required", closed=closed)


def _allowed(choice: Any) -> dict[str, Any] | None:
    # OpenAI's way to keep `tools` the same from turn to turn, so that they stay cached, and allow some of them.
    found = choice.get("allowed_tools") if type(choice) is dict and choice.get("type") == "allowed_tools" else None
    return found if type(found) is dict and type(found.get("tools")) is list else None


def _of(schemas: dict[str, Any], named: list[Any], *, closed: bool) -> dict[str, Any]:
    names = [one.get("name") if type(one) is dict else None for one in named]
    for name in names:
        if closed and name not in schemas:
            raise wrong_value("tool_choice", f"names a function that is not in `tools`: {str(name)[:64]!r}.")
    return {name: schemas.get(name) for name in names if type(name) is str}
