"""Reading a body: what is refused, with which sentence, and what goes upstream."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_gateway.dataplane.body import Kind, parse, parse_foreign, upstream_bytes
from sluice_gateway.dataplane.errors import InvalidRequest
from sluice_gateway.dataplane.names import USUAL
from sluice_gateway.translate import registry

GOOD: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(("change", "param"), [
    ({"model": None}, "model"), ({"model": 3}, "model"), ({"model": ""}, "model"), ({"model": "x" * 201}, "model"),
    ({"messages": None}, "messages"), ({"messages": "hello"}, "messages"), ({"messages": []}, "messages"),
    ({"messages": ["hello"]}, "messages[0]"), ({"messages": [{"content": "x"}]}, "messages[0].role"),
    ({"messages": [{"role": "user", "content": 3}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": ["x"]}]}, "messages[0].content[0]"),
    ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
    ({"stream": "yes"}, "stream"), ({"stream": 1}, "stream"),
    ({"temperature": "hot"}, "temperature"), ({"temperature": -0.1}, "temperature"), ({"temperature": 2.1}, "temperature"),
    ({"temperature": True}, "temperature"), ({"top_p": 0}, "top_p"), ({"top_p": 1.1}, "top_p"),
    ({"max_tokens": 0}, "max_tokens"), ({"max_tokens": 1.5}, "max_tokens"), ({"max_tokens": True}, "max_tokens"),
    ({"max_completion_tokens": -1}, "max_completion_tokens"), ({"n": 0}, "n"), ({"n": "2"}, "n"),
    ({"stream_options": {}}, "stream_options"), ({"stream": True, "stream_options": 3}, "stream_options"),
    ({"stream": True, "stream_options": {"include_usage": "y"}}, "stream_options.include_usage"),
    ({"metadata": {"tags": [1]}}, "metadata.tags"), ({"metadata": {"tags": ["a,b"]}}, "metadata.tags"),
    ({"metadata": {"tags": [" a"]}}, "metadata.tags"), ({"metadata": {"tags": ["a\n"]}}, "metadata.tags"),
    ({"metadata": {"tags": ["x" * 65]}}, "metadata.tags"), ({"metadata": {"tags": [str(n) for n in range(17)]}}, "metadata.tags"),
    ({"sluice": 3}, "sluice"), ({"sluice": {"x": 1}}, "sluice.x"),
    ({"sluice": {"retrieval": {"vector_store_ids": []}}}, "sluice.retrieval"),
])  # fmt: skip
def test_a_wrong_value_is_named(change: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(orjson.dumps({**GOOD, **change}), "chat")
    error = json.loads(caught.value.body())["error"]
    assert error["param"] == param
    assert f"`{param}`" in error["message"]
    assert (caught.value.status, error["type"], error["code"]) == (400, "invalid_request_error", "invalid_value")


@pytest.mark.parametrize("change", [
    {"temperature": 0}, {"temperature": 2.0}, {"temperature": None}, {"top_p": 1}, {"max_tokens": 1}, {"stream": None},
    {"messages": [{"role": "assistant", "content": None, "tool_calls": []}]},
    {"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {}}]}]},
    {"sluice": {"policy": "p", "retrieval": {"vector_store_ids": ["vs"]}}}, {"anything": {"else": 1}},
])  # fmt: skip
def test_a_right_value_passes(change: dict[str, Any]) -> None:
    assert parse(orjson.dumps({**GOOD, **change}), "chat").model == "m"


@pytest.mark.parametrize("said", [{}, {"model": ""}, {"model": None}, {"model": "own"}])
def test_a_body_that_names_no_model_means_the_default(said: dict[str, Any]) -> None:
    messages = {"messages": GOOD["messages"]}
    raw = orjson.dumps({**messages, **said})
    body = parse(raw, "chat", "usual")
    assert body.model == (said.get("model") or "usual")
    sent = orjson.loads(upstream_bytes(raw, body, body.fields, body.model, changed=False))
    assert sent == {**messages, "model": body.model}
    foreign = parse_foreign(orjson.dumps({**messages, **said, "max_tokens": 5}), registry.client("messages"), "usual")
    assert (foreign.model, foreign.native and foreign.native["model"]) == (body.model, body.model)
    if not said.get("model"):
        assert foreign.canonical
        with pytest.raises(InvalidRequest, match="model"):
            parse(raw, "chat")


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"3", b'"x"', b"\xff\xfe", b'{"model": NaN}', b"{'model': 'm'}"])
def test_what_is_no_json_object_is_refused_with_a_sentence(raw: bytes) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(raw, "chat")
    assert caught.value.error_code == "invalid_json"


@pytest.mark.parametrize("raw", [b"[" * 5000, b'{"model":' * 5000])
def test_what_is_nested_too_deep_is_told_so(raw: bytes) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(raw, "chat")
    assert caught.value.error_code == "too_deep"


@pytest.mark.parametrize(("value", "good"), [
    ("x", True), (["x", "y"], True), ([1, 2], True), ([[1], [2, 3]], True), ("", True),
    (None, False), ([], False), ([[]], False), ([1, "x"], False), ([-1], False), ([True], False), ({"a": 1}, False), (3, False),
])  # fmt: skip
@pytest.mark.parametrize(("kind", "name"), [("completion", "prompt"), ("embedding", "input")])
def test_prompts_and_inputs(value: object, good: bool, kind: Kind, name: str) -> None:
    raw = orjson.dumps({"model": "m", name: value})
    if good:
        assert parse(raw, kind).fields[name] == value
    else:
        with pytest.raises(InvalidRequest, match=name):
            parse(raw, kind)


def test_embeddings_are_not_streamed() -> None:
    with pytest.raises(InvalidRequest, match="stream"):
        parse(orjson.dumps({"model": "m", "input": "x", "stream": True}), "embedding")


@given(JSON)
def test_any_json_is_parsed_or_refused(value: Any) -> None:
    for kind in ("chat", "completion", "embedding"):
        try:
            parse(orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS), kind)
        except InvalidRequest:
            continue  # any other error is a mistake of ours
        except (TypeError, orjson.JSONEncodeError):  # integers beyond 64 bits cannot be written
            continue


@given(
    st.dictionaries(
        st.sampled_from([*GOOD, "stream", "n", "top_p", "sluice", "stream_options", "prompt", "input"]), JSON
    )
)
def test_any_field_value_is_parsed_or_refused(change: dict[str, Any]) -> None:
    for kind in ("chat", "completion", "embedding"):
        try:
            parse(json.dumps({**GOOD, "prompt": "x", "input": "y", **change}).encode(), kind)
        except InvalidRequest:
            continue  # any other error is a mistake of ours


@given(st.binary(max_size=60))
def test_any_bytes_are_parsed_or_refused(raw: bytes) -> None:
    with pytest.raises(InvalidRequest):
        parse(raw, "chat")


def sent(raw: bytes, upstream_model: str = "m", *, changed: bool = False) -> bytes:
    parsed = parse(raw, "chat")
    return upstream_bytes(raw, parsed, parsed.fields, upstream_model, changed=changed)


def test_nothing_changed_means_the_very_bytes() -> None:
    raw = b'{ "model":"m","messages":[{"role":"user","content":"\\u00e9"}], "seed": 1.0 }\n'
    assert sent(raw) is raw


def test_a_stream_is_made_to_report_its_usage_without_touching_the_rest() -> None:
    raw = b'{ "model":"m","messages":[{"role":"user","content":"}"}],"stream":true } \n'
    assert sent(raw).startswith(b'{ "model":"m","messages":[{"role":"user","content":"}"}],"stream":true ')
    assert json.loads(sent(raw))["stream_options"] == {"include_usage": True}


def test_stream_options_are_kept_and_added_to() -> None:
    raw = orjson.dumps({**GOOD, "stream": True, "stream_options": {"chunk": 1, "include_usage": False}})
    assert json.loads(sent(raw))["stream_options"] == {"chunk": 1, "include_usage": True}
    asked = orjson.dumps({**GOOD, "stream": True, "stream_options": {"include_usage": True}})
    assert sent(asked) is asked


@pytest.mark.parametrize("raw", [
    b'{"model":"other","messages":[{"role":"user","content":"x"}],"model":"m"}',
    b'{"mode\\u006c":"other","messages":[{"role":"user","content":"x"}],"model":"m"}',
    b'{"model":"other","messages":[{"role":"user","content":"x"}],"mode\\u006c":"m"}',
    b'{"model": "other", "messages":[{"role":"user","content":"x"}], "model": "m"}',
    b'{"messages":[{"role":"user","content":"x"}],"model":"other","mode\\u006c":"m"}',
])  # fmt: skip
@pytest.mark.parametrize("length", [1, 5000])
def test_a_name_given_twice_goes_up_once(raw: bytes, length: int) -> None:
    assert b"other" not in sent(raw.replace(b'"x"', b'"%b"' % (b"x" * length)))


@pytest.mark.parametrize("raw", [
    b'{"model":"m","messages":[{"role":"user","content":"the \\"model\\", and \\u006d"}],"metadata":{"model":"n"}}',
    b'{"model": "m", "messages":[{"role":"user","content":"x"}], "tools":[{"model":"n"}]}',
    b'{"messages":[{"role":"user","content":"x"}],"model":"m"}',
])  # fmt: skip
def test_a_long_body_that_names_one_model_goes_up_as_it_came(raw: bytes) -> None:
    raw = raw.replace(b'"content":"', b'"content":"' + b"x" * 5000)
    assert sent(raw) is raw


def test_a_name_that_looks_like_more_fields_is_written_anew() -> None:
    name = 'm","x":"y'
    text = b"x" * 5000
    raw = b'{"model":"m","x":"y","messages":[{"role":"user","content":"%b"}],"model":%b}' % (
        text,
        json.dumps(name).encode(),
    )
    assert parse(raw, "chat").model == name
    assert parse(raw, "chat").canonical


def test_the_extension_never_goes_up() -> None:
    assert json.loads(sent(orjson.dumps({**GOOD, "sluice": {}}))) == GOOD
    assert json.loads(sent(orjson.dumps(GOOD), "vendor/m")) == {**GOOD, "model": "vendor/m"}


@given(st.dictionaries(st.text(max_size=6).filter(lambda name: name.casefold() not in USUAL), JSON))
def test_unknown_fields_pass_through(extra: dict[str, Any]) -> None:
    raw = json.dumps({**extra, **GOOD, "stream": True}).encode()
    got = json.loads(sent(raw))
    assert {name: got[name] for name in extra} == extra


CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (CHAT | {"Model": "other"}, "Model"),
        (CHAT | {"Messages": [{"role": "user", "content": "unguarded"}]}, "Messages"),
        (CHAT | {"me\u017f\u017fages": []}, "me\u017f\u017fages"),
        (CHAT | {"MAX_TOKENS": 100_000}, "MAX_TOKENS"),
        (CHAT | {"sTream": True}, "sTream"),
        ({"model": "m", "messages": [{"role": "user", "content": "hi", "Content": "unguarded"}]}, "messages[0].Content"),
        ({"model": "m", "messages": [{"Role": "user", "content": "hi"}]}, "messages[0].Role"),
        (
            {"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": "hi", "Text": "unguarded"}]}]},
            "messages[0].content[0].Text",
        ),
        (
            {"model": "m", "messages": [*CHAT["messages"], {"role": "assistant", "content": "", "tool_calls": [{"function": {"Arguments": "{}"}}]}]},
            "messages[1].tool_calls[0].function.Arguments",
        ),
    ],
)  # fmt: skip
def test_a_name_that_differs_in_case_only_is_refused(body: dict[str, Any], param: str) -> None:
    """Servers that match names whatever their case would read it in place of what was checked."""
    with pytest.raises(InvalidRequest) as caught:
        parse(orjson.dumps(body), "chat")
    assert caught.value.param == param
    assert caught.value.error_code == "invalid_value"


def test_an_escaped_name_is_seen_through() -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(b'{"model": "m", "messages": [{"role": "user", "content": "hi", "\\u0043ontent": "unguarded"}]}', "chat")
    assert caught.value.param == "messages[0].Content"


def test_names_of_the_callers_own_may_be_as_they_like() -> None:
    schema = {"type": "object", "properties": {"Model": {"type": "string"}, "Content": {"type": "string"}}}
    tools = [{"type": "function", "function": {"name": "Text", "parameters": schema}}]
    body = CHAT | {"tools": tools, "metadata": {"Role": "x"}, "vendorField": 1, "chat_template_kwargs": {"Text": 1}}
    assert parse(orjson.dumps(body), "chat").fields == body


def test_the_same_holds_for_the_other_apis() -> None:
    body = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "hi", "Content": "unguarded"}]}
    with pytest.raises(InvalidRequest) as caught:
        parse_foreign(orjson.dumps(body), registry.client("messages"))
    assert caught.value.param == "messages[0].Content"
    with pytest.raises(InvalidRequest) as caught:
        parse_foreign(
            orjson.dumps({"model": "m", "input": [{"role": "user", "contenT": "x"}]}), registry.client("responses")
        )
    assert caught.value.param == "input[0].contenT"
    used = {"type": "tool_use", "id": "t", "name": "f", "input": {"Content": 1}}
    messages = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": [used]}]
    assert (
        parse_foreign(
            orjson.dumps({"model": "m", "max_tokens": 5, "messages": messages}), registry.client("messages")
        ).model
        == "m"
    )
    with pytest.raises(InvalidRequest):
        parse(orjson.dumps({"model": "m", "input": "hi", "Input": "unguarded"}), "embedding")


def test_a_message_is_read_as_deep_as_it_can_be_written_again() -> None:
    def body(levels: int) -> bytes:
        deep = '{"a":' * levels + "1" + "}" * levels
        return f'{{"model":"m","messages":[{{"role":"user","content":"hi","extra":{deep}}}]}}'.encode()

    assert parse(body(197), "chat").model == "m"
    for levels in (198, 1015):
        with pytest.raises(InvalidRequest, match="more than 200 levels deep") as caught:
            parse(body(levels), "chat")
        assert caught.value.error_code == "too_deep"


@pytest.mark.parametrize(
    ("content", "plain"),
    [
        ("hello", True),
        ([{"type": "text", "text": "hello"}], False),
        ([{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}], False),
    ],
)
def test_messages_that_hold_texts_only_are_known_to(content: object, plain: bool) -> None:
    messages = [{"role": "user", "content": "hi"}, {"role": "user", "content": content}]
    assert parse(orjson.dumps({"model": "small", "messages": messages}), "chat").plain is plain
