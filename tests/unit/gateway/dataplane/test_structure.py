"""What a request demands of its answer's form, in each engine's terms, and whether an answer has it."""

import json
from typing import Any

import pytest

from sluice_gateway.dataplane.conformance import Checks, Problem
from sluice_gateway.dataplane.errors import InvalidRequest
from sluice_gateway.dataplane.sse import chunk_of, split
from sluice_gateway.dataplane.stages.structured import StreamCheck, corrected, whole
from sluice_gateway.dataplane.structure import Structure, in_terms_of, structure_of

SCHEMA = {
    "type": "object",
    "properties": {"age": {"type": "integer", "minimum": 0}},
    "required": ["age"],
    "additionalProperties": False,
}
FORMAT = {"type": "json_schema", "json_schema": {"name": "person", "schema": SCHEMA}}
TOOLS = [
    {"type": "function", "function": {"name": "f", "parameters": SCHEMA}},
    {"type": "function", "function": {"name": "g"}},
]


def structure(**fields: Any) -> Structure:
    found = structure_of({"model": "m", "messages": [], **fields}, "chat")
    assert found is not None
    return found


def judged(text: str | None = None, calls: Any = None, finish: str = "stop", **fields: Any) -> Problem | None:
    return Checks(structure(**fields)).problem(text, calls, finish)


def call(name: str, arguments: str) -> dict[str, Any]:
    return {"id": "c1", "type": "function", "function": {"name": name, "arguments": arguments}}


@pytest.mark.parametrize(
    ("fields", "right", "wrong"),
    [
        (
            {"response_format": FORMAT},
            '{"age": 3}',
            ['{"age": -3}', '{"age": "3"}', "{}", "3", "{", "", '{"age": 3, "x": 1}', "[" * 1000 + "]" * 1000],
        ),
        ({"response_format": {"type": "json_object"}}, '{"a": [1]}', ["[]", "null", "{'a': 1}"]),
        ({"structured_outputs": {"json": SCHEMA}}, '{"age": 3}', ['{"age": -3}']),
        ({"structured_outputs": {"regex": r"\d{2}|x+"}}, "12", ["123", "1", "a12", "12\n"]),
        ({"structured_outputs": {"choice": ["yes", "no"]}}, "no", ["No", "no ", ""]),
        ({"structured_outputs": {"grammar": 'root ::= "a" [0-9]+'}}, "a17", ["a", "b1", "a1b", ""]),
        ({"grammar": 'start: "a" /[0-9]+/'}, "a17", ["a"]),
        ({"guided_json": SCHEMA}, '{"age": 3}', ["{}"]),
        ({"guided_regex": "ab?"}, "a", ["abb"]),
        ({"guided_choice": ["x"]}, "x", ["y"]),
        ({"guided_grammar": 'root ::= "q"'}, "q", ["p"]),
    ],
)
def test_every_form_tells_right_from_wrong(fields: dict[str, Any], right: str, wrong: list[str]) -> None:
    assert judged(right, **fields) is None
    for text in wrong:
        problem = judged(text, **fields)
        assert problem is not None, text
        assert problem.code == "structured_output_invalid"


def test_tool_calls_are_held_to_their_schemas_names_and_choice() -> None:
    assert judged(calls=[call("f", '{"age": 1}'), call("g", "{}")], tools=TOOLS) is None
    for bad in (call("f", '{"age": -1}'), call("f", "{"), call("f", ""), call("g", "nope"), call("h", "{}")):
        problem = judged(calls=[call("g", "{}"), bad], tools=TOOLS)
        assert problem is not None, bad
        assert (problem.code, problem.call) == ("tool_call_invalid", 1)
    assert judged("just text", tools=TOOLS) is None
    assert judged("just text", tools=TOOLS, tool_choice="required") is not None
    named = {"type": "function", "function": {"name": "g"}}
    assert judged(calls=[call("f", '{"age": 1}')], tools=TOOLS, tool_choice=named) is not None
    assert structure_of({"tools": TOOLS, "tool_choice": "none"}, "chat") is None
    assert judged(calls=[call("search", "{}")], tools=[*TOOLS, {"type": "web_search"}]) is None


def test_an_unfinished_answer_is_told_apart_and_a_filtered_one_is_left_alone() -> None:
    problem = judged('{"age": ', finish="length", response_format=FORMAT)
    assert problem is not None
    assert problem.code == "structured_output_incomplete"
    assert judged("", finish="content_filter", response_format=FORMAT) is None
    assert judged('{"age": 3}', finish="length", response_format=FORMAT) is None


def test_what_the_client_is_told_holds_nothing_of_the_answer() -> None:
    for text in ('{"age": "s3cret"}', '{"s3cret": 1}', "s3cret", '{"age": 1, "s3cret": 2}'):
        problem = judged(text, response_format=FORMAT)
        assert problem is not None
        assert "s3cret" not in problem.wrong.said
    assert judged('{"age": -1}', response_format=FORMAT).wrong.said.endswith("/properties/age/minimum")  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"response_format": "json"}, "response_format"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}},
            "response_format.json_schema.schema",
        ),
        ({"structured_outputs": []}, "structured_outputs"),
        ({"structured_outputs": {"regex": "a", "choice": ["b"]}}, "structured_outputs"),
        ({"structured_outputs": {"choice": []}}, "structured_outputs.choice"),
        ({"structured_outputs": {"choice": [1]}}, "structured_outputs.choice"),
        ({"structured_outputs": {"regex": 1}}, "structured_outputs.regex"),
        ({"guided_json": "x"}, "guided_json"),
        ({"response_format": FORMAT, "guided_regex": "a"}, "guided_regex"),
    ],
)
def test_a_form_that_makes_no_sense_is_refused_before_the_model_is_asked(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        structure_of(fields, "chat")
    assert refused.value.param == param


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "nope"}}}}, "invalid_schema"),
        ({"guided_json": {"$ref": "https://example.org/schema"}}, "invalid_schema"),
        ({"guided_json": {"$ref": "file:///etc/hostname"}}, "invalid_schema"),
        ({"guided_json": {"type": "string", "pattern": "(?=a)b"}}, "invalid_schema"),
        ({"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": 3}}}]}, "invalid_schema"),
        ({"structured_outputs": {"regex": "("}}, "invalid_regex"),
        ({"structured_outputs": {"regex": r"(a)\1"}}, "invalid_regex"),
        ({"structured_outputs": {"grammar": "root ::= nowhere"}}, "invalid_grammar"),
        ({"structured_outputs": {"grammar": "what is this"}}, "invalid_grammar"),
    ],
)
def test_what_cannot_be_checked_is_refused(fields: dict[str, Any], code: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        Checks(structure(**fields))
    assert refused.value.error_code == code


def test_a_regular_expression_of_exponential_time_takes_none() -> None:
    assert judged("a" * 5000 + "b", structured_outputs={"regex": "(a+)+$"}) is not None


def test_each_engine_is_asked_in_its_own_terms() -> None:
    def sent(engine: str, kind: Any = "chat", **fields: Any) -> dict[str, Any]:
        given = {"model": "m", **fields}
        found = structure_of(given, kind)
        assert found is not None
        out = in_terms_of(engine, found, given, kind)
        return {name: value for name, value in out.items() if name != "model"}

    regex = {"structured_outputs": {"regex": "a+"}}
    assert sent("llamacpp", **regex) == {"grammar": 'root ::= ("a")+'}
    assert sent("llamacpp", structured_outputs={"choice": ["a", "b"]}) == {"grammar": 'root ::= "a" | "b"'}
    assert sent("llamacpp", guided_grammar='root ::= "x"') == {"grammar": 'root ::= "x"'}
    as_format = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}
    assert sent("llamacpp", guided_json=SCHEMA) == {"response_format": as_format}
    assert sent("llamacpp", "completion", response_format=FORMAT) == {"json_schema": SCHEMA}
    assert sent("llamacpp", response_format=FORMAT) == {"response_format": FORMAT}
    assert sent("llamacpp", tools=TOOLS, **regex) == {"tools": TOOLS, "grammar": 'root ::= ("a")+'}
    assert sent("vllm", guided_regex="a+") == regex
    assert sent("vllm", grammar='root ::= "x"') == {"structured_outputs": {"grammar": 'root ::= "x"'}}
    more = {"choice": ["a"], "disable_any_whitespace": True}
    assert sent("vllm", structured_outputs=more) == {"structured_outputs": more}
    assert sent("vllm", response_format=FORMAT) == {"response_format": FORMAT}
    assert sent("openai", guided_regex="a+") == {"guided_regex": "a+"}
    with pytest.raises(InvalidRequest, match="looking around"):
        sent("llamacpp", structured_outputs={"regex": "(?!x)y"})
    for field in ({"grammar": 'start: "x"'}, {"structured_outputs": {"grammar": 'start: "x"'}}):
        with pytest.raises(InvalidRequest, match=r"GBNF.*llama\.cpp") as refused:
            sent("llamacpp", **field)
        assert refused.value.param == next(iter(field))
    assert sent("vllm", grammar='start: "x"') == {"structured_outputs": {"grammar": 'start: "x"'}}


@pytest.mark.parametrize(
    ("pattern", "spelled"),
    [
        (r"^[A-Z]{2}-\d{3}$", "^[A-Z]{2}-[0-9]{3}$"),
        (r"^[\d.-]+\w$", "^[0-9.-]+[A-Za-z0-9_]$"),
        (r"^\D[^\s]$", r"^[^0-9][^ \t\n\r]$"),
        (r"^\[\d\]$", r"^\[[0-9]\]$"),
        ("ab|c", "^.*(ab|c).*$"),
        (r"^a\$", r"^(a\$).*$"),
        (r"a\\$", r"^.*(a\\)$"),
        ("^a$", "^a$"),
    ],
)
def test_llamacpp_gets_patterns_that_it_can_write_by(pattern: str, spelled: str) -> None:
    def asked(pattern: str) -> dict[str, Any]:
        parts = {"pattern": {"type": "string", "pattern": pattern, "examples": [{"pattern": r"\d"}]}}
        schema = {"type": "object", "properties": parts}
        tools = [{"type": "function", "function": {"name": "f", "parameters": schema}}]
        named = {"name": "p", "schema": schema}
        return {"response_format": {"type": "json_schema", "json_schema": named}, "tools": tools}

    fields = {"model": "m", "messages": [], **asked(pattern)}
    sent = in_terms_of("llamacpp", structure(**asked(pattern)), fields, "chat")
    assert sent == {**fields, **asked(spelled)}
    assert (sent is fields) is (pattern == spelled), "what needs no change goes on as it came"
    assert in_terms_of("vllm", structure(**asked(pattern)), fields, "chat") is fields


def allowed(mode: str, *names: str) -> dict[str, Any]:
    tools = [{"type": "function", "function": {"name": name}} for name in names]
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}


@pytest.mark.parametrize("tools", [{}, {"tools": []}, {"tools": None}])
def test_a_call_is_demanded_of_tools_that_there_are(tools: dict[str, Any]) -> None:
    for choice in ("required", {"type": "function", "function": {"name": "f"}}):
        with pytest.raises(InvalidRequest) as refused:
            structure_of({"model": "m", "messages": [], "tool_choice": choice, **tools}, "chat")
        assert (refused.value.param, refused.value.error_code) == ("tool_choice", "invalid_value")
    for choice in ("auto", "none", None):
        assert structure_of({"model": "m", "messages": [], "tool_choice": choice, **tools}, "chat") is None


def test_of_the_tools_only_the_allowed_ones_may_be_called() -> None:
    assert judged(calls=[call("g", "{}")], tools=TOOLS, tool_choice=allowed("auto", "g")) is None
    assert judged(calls=[call("f", '{"age": 1}')], tools=TOOLS, tool_choice=allowed("auto", "g")) is not None
    assert judged("just text", tools=TOOLS, tool_choice=allowed("auto", "g")) is None
    assert judged("just text", tools=TOOLS, tool_choice=allowed("required", "g")) is not None
    for mode in ("auto", "required"):
        fields = {"model": "m", "messages": [], "tools": TOOLS, "tool_choice": allowed(mode, "g")}
        sent = {name: in_terms_of(name, structure(**fields), fields, "chat") for name in ("llamacpp", "vllm", "openai")}
        assert sent["openai"] is fields
        assert [sent[name]["tool_choice"] for name in ("llamacpp", "vllm")] == [mode, mode]
        assert [[tool["function"]["name"] for tool in sent[name]["tools"]] for name in ("llamacpp", "vllm")] == [
            ["g"]
        ] * 2


@pytest.mark.parametrize(
    "choice", [{"type": "function", "function": {"name": "h"}}, allowed("auto", "g", "h"), 5, ["f"], True]
)
def test_a_choice_of_no_tool_that_there_is_is_refused(choice: Any) -> None:
    with pytest.raises(InvalidRequest) as refused:
        structure(tools=TOOLS, tool_choice=choice)
    assert (refused.value.param, refused.value.error_code) == ("tool_choice", "invalid_value")


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "f"}}])
def test_vllm_is_told_to_keep_to_the_schemas_of_a_call_that_has_to_come(choice: Any) -> None:
    loose = {"type": "function", "function": {"name": "h", "parameters": SCHEMA, "strict": False}}
    fields = {"model": "m", "messages": [], "tools": [*TOOLS, loose], "tool_choice": choice}
    found = structure(**fields)
    sent = in_terms_of("vllm", found, fields, "chat")
    strict = {"type": "function", "function": {"name": "f", "parameters": SCHEMA, "strict": True}}
    assert sent == {**fields, "tools": [strict, TOOLS[1], loose]}, "what says so itself, or has no schema, stays"
    assert fields["tools"][0] == TOOLS[0], "another deployment may get the request as it came"
    assert in_terms_of("openai", found, fields, "chat") is fields
    free = {**fields, "tool_choice": "auto"}
    assert in_terms_of("vllm", structure(**free), free, "chat") is free


def test_a_run_of_space_is_cut_from_a_whole_answer() -> None:
    checks = Checks(structure(response_format=FORMAT))

    def answer(text: str, finish: str) -> dict[str, Any]:
        return {"choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}]}

    found, problem = whole(answer('{"age": 3}' + "\n" * 5000, "length"), checks)
    assert problem is None
    assert found["choices"][0]["message"]["content"] == '{"age": 3}'
    assert found["choices"][0]["finish_reason"] == "stop"
    few = answer('{"age": 3}\n\n', "stop")
    assert whole(few, checks) == (few, None)
    _, problem = whole(answer('{"age":' + " " * 5000, "length"), checks)
    assert problem is not None
    assert problem.code == "structured_output_incomplete"


def events(pieces: list[str], finish: str | None = "stop") -> list[bytes]:
    found = [{"index": 0, "delta": {"content": piece}, "finish_reason": None} for piece in pieces]
    ends = [] if finish is None else [{"index": 0, "delta": {}, "finish_reason": finish}]
    return [
        b"data: " + json.dumps({"id": "c", "object": "chat.completion.chunk", "choices": [one]}).encode() + b"\n\n"
        for one in [*found, *ends]
    ]


def text_of(passed: bytes) -> str:
    chunks = [chunk_of(one) for one in split(passed)]
    return "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks if chunk)


def test_a_stream_passes_as_it_comes_and_its_end_waits_for_the_verdict() -> None:
    for pieces, right in ((['{"age"', ": 3}"], True), (['{"age"', ": -3}"], False)):
        check = StreamCheck(Checks(structure(response_format=FORMAT)))
        *texts, end = events(pieces)
        assert [text_of(check.feed(one)) for one in texts] == pieces
        assert bool(check.feed(end)) is right
        assert (check.finish() is None) is right


def test_a_stream_that_never_says_why_it_ended_is_judged_all_the_same() -> None:
    check = StreamCheck(Checks(structure(response_format=FORMAT)))
    check.feed(b"".join(events(['{"age"'], None)))
    assert check.finish() is not None


@pytest.mark.parametrize(("start", "right"), [('{"age": 3}', True), ('{"age":', False)])
def test_a_stream_of_nothing_but_space_is_cut(start: str, right: bool) -> None:
    check = StreamCheck(Checks(structure(response_format=FORMAT)))
    passed = b""
    coming = iter(events([start, *(["\n "] * 1000)], None))
    while not check.cut:
        passed += check.feed(next(coming))
    assert len(list(coming)) > 800
    assert (check.finish() is None) is right
    assert (b'"finish_reason":"stop"' in passed) is right


def test_space_inside_a_string_is_text() -> None:
    check = StreamCheck(Checks(structure(response_format={"type": "json_object"})))
    for one in events(['{"a": "x', *([" "] * 600), 'y\\" "}']):
        check.feed(one)
    assert not check.cut
    assert check.finish() is None


def test_the_second_question_holds_the_first_answer_and_what_was_wrong() -> None:
    fields = {"messages": [{"role": "user", "content": "Ada?"}], "response_format": FORMAT}
    problem = judged('{"age": -3}', response_format=FORMAT)
    assert problem is not None
    asked = corrected(fields, [{"role": "assistant", "content": '{"age": -3}'}], problem)["messages"]
    assert [one["role"] for one in asked] == ["user", "assistant", "user"]
    assert "less than the minimum of 0" in asked[2]["content"]
    calls = [call("g", "{}"), call("f", '{"age": -1}')]
    problem = judged(calls=calls, tools=TOOLS)
    assert problem is not None
    asked = corrected(fields, [{"role": "assistant", "content": None, "tool_calls": calls}], problem)["messages"]
    assert [one["role"] for one in asked] == ["user", "assistant", "tool", "tool", "user"]
    assert "minimum" in asked[3]["content"]
