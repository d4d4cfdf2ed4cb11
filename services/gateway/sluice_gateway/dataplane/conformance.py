"""Whether an answer has the form that its request demands: JSON schemas, regular expressions, choices, grammars and XML.

The libraries that tell are imported with the first request that demands a form, and what they make of a form is kept. Regular
expressions, also those in schemas, run on an engine of linear time, and no `$ref` is fetched.
"""

import sys
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import orjson

from sluice_gateway import nesting
from sluice_gateway.dataplane.errors import InvalidRequest
from sluice_gateway.dataplane.structure import Structure, TextForm, Tools, is_gbnf
from sluice_gateway.domain.xml_form import NotOfTheForm, NoXmlForm, form_of

Code = Literal["structured_output_invalid", "structured_output_incomplete", "tool_call_invalid"]

_KEPT = 512
_LONGEST_REASON = 300
# longer runs are no layout any more
LONGEST_SPACE = 256
_PASSED_ON = frozenset({"content_filter", "refusal"})


class Wrong(NamedTuple):
    """What is wrong with a text: as the client reads it, with nothing of the text in it, and as the model reads it."""

    said: str
    told: str


Check = Callable[[str], Wrong | None]


class Problem(NamedTuple):
    """What is wrong with an answer; `call` is the place of the tool call that it lies in."""

    code: Code
    wrong: Wrong
    call: int | None = None


class Checks:
    """What tells whether an answer has the demanded form. Making it compiles, and the first one imports: do it in a thread unless `is_at_hand`.

    Raises:
        InvalidRequest: a schema, regular expression or grammar is none.
    """

    def __init__(self, structure: Structure) -> None:
        self._structure = structure
        self._text = None if structure.text is None else _check_of(structure.text)
        self._arguments: dict[str, Check] = {}
        tools = structure.tools
        for name, schema in {}.items() if tools is None else tools.schemas.items():
            if schema is not None:
                self._arguments[name] = _schema_check(schema, "tools", f"parameters of `{name}`")

    @property
    def may_be_cut(self) -> bool:
        """Whether space at the end of the text says nothing, so that a long run of it may be cut off."""
        form = self._structure.text
        return form is not None and form.kind in ("object", "schema")

    def problem(self, text: str | None, calls: list[Any] | None, finish: str | None) -> Problem | None:
        """Return what is wrong with one choice: its text, its tool calls, and why it ended."""
        if finish in _PASSED_ON:
            return None  # no answer at all, which the caller has to know
        form, tools = self._structure
        if calls:
            return None if tools is None else self._calls(tools, calls, finish)
        if tools is not None and tools.must:
            return Problem(_code(finish, "tool_call_invalid"), _same("it calls no tool, and `tool_choice` demands one"))
        if self._text is None or form is None:
            return None
        wrong = self._text(text or "")
        if wrong is None:
            return None
        if finish == "length":
            wrong = _same("it ended before it was complete, at its limit of tokens")
        return Problem(_code(finish, "structured_output_invalid"), wrong)

    def _calls(self, tools: Tools, calls: list[Any], finish: str | None) -> Problem | None:
        for place, call in enumerate(calls):
            function = call.get("function") if isinstance(call, dict) else None
            if not isinstance(function, dict):
                continue  # a tool of the provider's own
            name, arguments = function.get("name"), _written(function.get("arguments"))
            wrong: Wrong | None = None
            if name not in tools.schemas:
                wrong = _same("it calls a function that it may not call") if tools.closed else None
            elif (check := self._arguments.get(name)) is not None:
                wrong = check(arguments)
            elif not _is_json(arguments):
                wrong = _same("its arguments are no JSON")
            if wrong is not None:
                return Problem(_code(finish, "tool_call_invalid"), wrong, place)
        return None


def is_at_hand(structure: Structure) -> bool:
    """Tell whether the checks of a structure of usual size are made in microseconds: nothing is to be imported, and no grammar converted."""
    form = structure.text
    return "jsonschema_rs" in sys.modules and (form is None or form.kind != "grammar")


def _code(finish: str | None, otherwise: Code) -> Code:
    return "structured_output_incomplete" if finish == "length" else otherwise


def _check_of(form: TextForm) -> Check:
    if form.kind == "choice":
        allowed = frozenset(form.rule)
        shown = _short(" | ".join(form.rule))
        wrong = Wrong("it is none of the choices", f"it is none of: {shown}")
        return lambda text: None if text in allowed else wrong
    if form.kind == "regex":
        return _regex_check(form.rule, form.field)
    if form.kind == "grammar":
        return _grammar_check(form.rule, form.field)
    if form.kind == "xml":
        return _xml_check(form.rule, form.field)
    return _schema_check(form.rule, form.field, "the schema")


def _schema_check(schema: Any, field: str, what: str) -> Check:
    validator = _compiled(schema, field, what)

    def check(text: str) -> Wrong | None:
        try:
            found = nesting.loads(text)
        except orjson.JSONDecodeError as exc:
            return Wrong("it is no JSON", f"it is no JSON: {exc.msg}, at character {exc.pos}")
        return _broken_rule(validator, found)

    return check


def _xml_check(rule: Any, field: str) -> Check:
    schema = rule["schema"]
    validator = _compiled(schema, field, "the schema")
    try:
        form = form_of(rule["root"], schema)
    except (NoXmlForm, RecursionError) as exc:
        said = "the schema is too deep" if isinstance(exc, RecursionError) else _short(exc)
        raise InvalidRequest(
            f"`{field}`: XML cannot be told from it: {said}. Correct it.", param=field, code="invalid_schema"
        ) from exc

    def check(text: str) -> Wrong | None:
        try:
            found = form.read(text)
        except NotOfTheForm as exc:
            return _same(str(exc))
        return _broken_rule(validator, found)

    return check


def _compiled(schema: Any, field: str, what: str) -> Any:
    try:
        return _validator(orjson.dumps(schema))
    except (ValueError, RecursionError) as exc:
        raise InvalidRequest(
            f"`{field}`: {what} is no JSON schema that answers can be checked against: {_reason(exc)}. Correct it.",
            param=field,
            code="invalid_schema",
        ) from exc


def _broken_rule(validator: Any, found: Any) -> Wrong | None:
    error = next(iter(validator.iter_errors(found)), None)
    if error is None:
        return None
    # Where in the answer it is may name its properties, and guards have not seen those yet.
    rule, place = (_pointer(path) for path in (error.schema_path, error.instance_path))
    return Wrong(f"it breaks the schema's rule {_short(rule)}", _short(f"at {place or '/'}: {error.message}"))


def _regex_check(pattern: str, field: str) -> Check:
    try:
        validator = _validator(orjson.dumps({"type": "string", "pattern": f"^(?:{pattern})$"}))
    except ValueError as exc:
        raise InvalidRequest(
            f"`{field}` is no regular expression that answers can be checked against (in linear time, so that it neither looks around "
            "nor refers back). Correct it.",
            param=field,
            code="invalid_regex",
        ) from exc
    wrong = Wrong(
        "it does not match the regular expression", _short(f"it does not match the regular expression {pattern}")
    )
    return lambda text: None if validator.is_valid(text) else wrong


def _grammar_check(grammar: str, field: str) -> Check:
    from llguidance import LLMatcher  # noqa: PLC0415 - heavy, and most processes never need it

    try:
        compiled = _grammar(grammar)
    except ValueError as exc:
        raise InvalidRequest(
            f"`{field}` is no grammar (GBNF or Lark): {_short(exc)}. Correct it.", param=field, code="invalid_grammar"
        ) from exc

    def check(text: str) -> Wrong | None:
        matcher = LLMatcher(_bytes(), compiled, log_level=0)
        data = text.encode(errors="surrogatepass")
        right = matcher.try_consume_tokens(list(data)) == len(data) and matcher.is_accepting()
        return None if right else _same("it is not of the grammar")

    return check


@lru_cache(_KEPT)
def _validator(schema: bytes) -> Any:
    import jsonschema_rs  # noqa: PLC0415 - heavy, and most processes never need it

    return jsonschema_rs.validator_for(
        orjson.loads(schema), pattern_options=jsonschema_rs.RegexOptions(), offline=True, mask="the value"
    )


@lru_cache(_KEPT)
def _grammar(grammar: str) -> str:
    from llguidance import LLMatcher  # noqa: PLC0415 - heavy, and most processes never need it
    from llguidance.gbnf_to_lark import gbnf_to_lark  # noqa: PLC0415 - heavy, and most processes never need it

    if is_gbnf(grammar):
        try:
            grammar = gbnf_to_lark(grammar)
        except Exception as exc:  # it raises bare ones, such as for a rule that is not there
            raise ValueError(str(exc)) from exc
    compiled: str = LLMatcher.grammar_from_lark(grammar)
    problem = LLMatcher.validate_grammar(compiled, _bytes())
    if problem:
        raise ValueError(problem)
    return compiled


@lru_cache(1)
def _bytes() -> Any:
    from llguidance import LLTokenizer  # noqa: PLC0415 - heavy, and most processes never need it

    return LLTokenizer("byte")


def _written(arguments: object) -> str:
    # Many servers write nothing for a call without arguments, and some an object in place of its text.
    if isinstance(arguments, dict):
        return orjson.dumps(arguments).decode()
    return arguments if isinstance(arguments, str) and arguments.strip() else "{}"


def _is_json(text: str) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def _same(sentence: str) -> Wrong:
    return Wrong(sentence, sentence)


def _pointer(path: Sequence[object]) -> str:
    return "".join(f"/{part}" for part in path)


def _reason(exc: Exception) -> str:
    # A validator's whole text shows the schema again.
    place = _pointer(getattr(exc, "instance_path", ()))
    said = _short(getattr(exc, "message", exc))
    return f"at {place}: {said}" if place else said


def _short(reason: object) -> str:
    said = " ".join(str(reason).split())
    return said if len(said) <= _LONGEST_REASON else said[: _LONGEST_REASON - 1] + "…"
