"""Structured output through the request path: right answers pass, wrong ones are repaired or told of, on both ways."""

import json
from typing import Any

import httpx
import pytest
from gateway_parts import Parts, Served, deployment, model, serving, snapshot
from openai_provider import Behaviour, Provider

from sluice.contracts.routing import Policy

CHAT = "/v1/chat/completions"
SCHEMA = {"type": "object", "properties": {"age": {"type": "integer", "minimum": 0}}, "required": ["age"]}
FORMAT = {"type": "json_schema", "json_schema": {"name": "person", "schema": SCHEMA}}
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": SCHEMA}}]
GOOD, BAD = Behaviour(text='{"age": 36}'), Behaviour(text='{"age": -1}')


def routed(provider: Provider, mode: str, **more: Any) -> Any:
    rules = Policy.model_validate({"name": "rules", "structured_output": mode, **more})
    return snapshot(model("small", deployment("d1", provider.base_url), policy="rules"), policies=(rules,))


def ask(**more: object) -> dict[str, object]:
    return {"model": "small", "messages": [{"role": "user", "content": "Ada?"}], "response_format": FORMAT, **more}


async def post(client: httpx.AsyncClient, gateway: Served, body: object, path: str = CHAT) -> httpx.Response:
    return await client.post(gateway.url + path, json=body)


def told(answer: httpx.Response) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]


def text_of(answer: httpx.Response) -> str:
    choices = [choice for chunk in told(answer) for choice in chunk.get("choices", ())]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


async def test_without_any_policy_a_wrong_answer_is_an_error_that_says_which_rule_it_breaks(
    client: httpx.AsyncClient, provider: Provider
) -> None:
    async with serving(Parts(), snapshot(model("small", deployment("d1", provider.base_url)))) as gateway:
        provider.next(GOOD, BAD)
        assert (await post(client, gateway, ask())).json()["choices"][0]["message"]["content"] == GOOD.text
        answer = await post(client, gateway, ask())
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (502, "structured_output_invalid")
    assert "/properties/age/minimum" in error["message"]
    assert answer.headers["x-should-retry"] == "false"
    last = gateway.parts.usage.events[-1]
    assert (last.status, last.error_code, last.completion_tokens) == ("error", "structured_output_invalid", 2)
    assert gateway.plane.direct == 0


async def test_a_wrong_stream_ends_with_an_error_instead_of_its_end(
    client: httpx.AsyncClient, provider: Provider
) -> None:
    async with serving(Parts(), routed(provider, "fail")) as gateway:
        provider.next(GOOD, BAD, Behaviour(text='{"age": 36}', one_write=True), Behaviour(text="no", one_write=True))
        for right in (True, False, True, False):
            answer = await post(client, gateway, ask(stream=True))
            assert answer.status_code == 200
            assert answer.text.endswith("data: [DONE]\n\n") is right
            assert ("error" in told(answer)[-1]) is not right
            assert ('"finish_reason":"stop"' in answer.text.replace(" ", "")) is right
            assert gateway.parts.usage.events[-1].tokens_exact is True
    assert [event.status for event in gateway.parts.usage.events] == ["ok", "error", "ok", "error"]


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_wrong_answer_is_repaired_by_one_more_question_and_both_are_billed(
    client: httpx.AsyncClient, provider: Provider, streamed: bool
) -> None:
    async with serving(Parts(), routed(provider, "repair")) as gateway:
        provider.next(BAD, GOOD)
        answer = await post(client, gateway, ask(stream=streamed))
        assert answer.status_code == 200
        text = text_of(answer) if streamed else answer.json()["choices"][0]["message"]["content"]
        assert text == GOOD.text
        assert answer.headers["x-sluice-attempts"] == "2"
        asked = provider.seen[-1].json["messages"]
        assert [one["role"] for one in asked] == ["user", "assistant", "user"]
        assert (asked[1]["content"], "minimum of 0" in asked[2]["content"]) == (BAD.text, True)
        provider.next(BAD, BAD)
        refused = await post(client, gateway, ask(stream=streamed))
        assert (refused.status_code, refused.json()["error"]["code"]) == (502, "structured_output_invalid")
        assert "asked again" in refused.json()["error"]["message"]
    first, second, third, fourth = gateway.parts.usage.events
    assert (first.error_code, first.completion_tokens, second.status) == ("structured_output_repaired", 2, "ok")
    assert (third.error_code, fourth.error_code) == ("structured_output_repaired", "structured_output_invalid")
    assert first.request_id == second.request_id + "-repair"
    (table,) = [gateway.plane._compiler.states()]
    assert [state.in_flight for state in table] == [0]


async def test_a_policy_may_leave_answers_as_they_are_and_a_request_may_wish_otherwise(
    client: httpx.AsyncClient, provider: Provider
) -> None:
    async with serving(Parts(), routed(provider, "off")) as gateway:
        provider.next(BAD, GOOD)
        repaired = await post(client, gateway, ask(sluice={"structured_output": "repair"}))
        assert repaired.json()["choices"][0]["message"]["content"] == GOOD.text
        assert repaired.headers["x-sluice-attempts"] == "2"
        provider.next(BAD, BAD)
        assert (await post(client, gateway, ask())).json()["choices"][0]["message"]["content"] == BAD.text
        assert text_of(await post(client, gateway, ask(stream=True))) == BAD.text


@pytest.mark.parametrize("streamed", [False, True])
async def test_arguments_of_tools_are_held_to_their_schema(
    client: httpx.AsyncClient, provider: Provider, streamed: bool
) -> None:
    async with serving(Parts(), routed(provider, "fail")) as gateway:
        provider.next(Behaviour(tool_arguments='{"age": 3}'), Behaviour(tool_arguments='{"age": "3"}'))
        body = ask(tools=TOOLS, response_format=None, stream=streamed)
        assert "error" not in (await post(client, gateway, body)).text
        answer = await post(client, gateway, body)
        error = told(answer)[-1]["error"] if streamed else answer.json()["error"]
        assert error["code"] == "tool_call_invalid"
        assert "/properties/age/type" in error["message"]


ANYTHING = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
WITHOUT = {"/v1/messages": [{"name": "f", "input_schema": {"type": "object"}}],
           "/v1/responses": [{"type": "function", "name": "f", "parameters": {"type": "object"}}]}  # fmt: skip


def events_of(calls: list[object], finish: str = "tool_calls") -> Behaviour:
    base = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "small"}
    deltas: list[dict[str, object]] = [{"tool_calls": [call]} for call in calls]
    choices = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "finish_reason": finish})
    events = [f"data: {json.dumps({**base, 'choices': [choice]})}\n\n" for choice in choices]
    return Behaviour(body="".join([*events, "data: [DONE]\n\n"]).encode(), content_type="text/event-stream")


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_call_without_arguments_is_one_also_where_the_server_writes_nothing_for_them(
    client: httpx.AsyncClient, provider: Provider, streamed: bool
) -> None:
    async with serving(Parts(), routed(provider, "fail")) as gateway:
        provider.default = Behaviour(tool_arguments="")
        answer = await post(client, gateway, ask(tools=ANYTHING, response_format=None, stream=streamed))
        assert "error" not in answer.text
        refused = await post(client, gateway, ask(tools=TOOLS, response_format=None, stream=streamed))
        assert "/required" in refused.text
        body = {"model": "small", "stream": streamed, "max_tokens": 9, "tools": WITHOUT["/v1/messages"]}
        body["messages"] = [{"role": "user", "content": "?"}]
        message = await post(client, gateway, body, "/v1/messages")
        assert ('"input":{}' in message.text, "error" in message.text) == (True, False)
        body = {"model": "small", "stream": streamed, "input": "?", "tools": WITHOUT["/v1/responses"]}
        response = await post(client, gateway, body, "/v1/responses")
        assert '"arguments":"{}"' in response.text


async def test_calls_to_which_a_server_gives_one_number_are_told_apart_by_their_ids(
    client: httpx.AsyncClient, provider: Provider
) -> None:
    def whole_call(identity: str) -> dict[str, object]:
        return {"index": 0, "id": identity, "type": "function", "function": {"name": "f", "arguments": '{"age": 3}'}}

    async with serving(Parts(), routed(provider, "fail")) as gateway:
        provider.default = events_of([whole_call("a"), whole_call("b")])
        answer = await post(client, gateway, ask(tools=TOOLS, response_format=None, stream=True))
        deltas = [choice["delta"] for chunk in told(answer) for choice in chunk["choices"]]
        numbers = [(call["index"], call["id"]) for delta in deltas for call in delta.get("tool_calls", ())]
        assert numbers == [(0, "a"), (1, "b")]
        body = {"model": "small", "stream": True, "max_tokens": 9, "tools": WITHOUT["/v1/messages"]}
        body["messages"] = [{"role": "user", "content": "?"}]
        assert (await post(client, gateway, body, "/v1/messages")).text.count('"type":"tool_use"') == 2


@pytest.mark.parametrize("path", [CHAT, "/v1/messages"])
async def test_a_stream_that_nobody_can_read_ends_with_an_error_and_does_not_hang(
    client: httpx.AsyncClient, provider: Provider, path: str
) -> None:
    odd = {"index": 0, "id": "a", "type": "function", "function": {"name": ["f"], "arguments": 7}}
    async with serving(Parts(), routed(provider, "fail")) as gateway:
        provider.default = events_of([odd])
        tools = TOOLS if path == CHAT else WITHOUT[path]
        body = {"model": "small", "messages": [{"role": "user", "content": "?"}], "max_tokens": 9, "tools": tools}
        answer = await client.post(gateway.url + path, json={**body, "stream": True}, timeout=60)
        assert "error" in answer.text
        assert gateway.parts.usage.events[-1].status == "error"


@pytest.mark.parametrize("streamed", [False, True])
async def test_space_without_end_is_cut_and_the_engine_is_stopped(
    client: httpx.AsyncClient, provider: Provider, streamed: bool
) -> None:
    async with serving(Parts(), routed(provider, "fail")) as gateway:
        provider.next(Behaviour(text='{"age": 36}' + " \n" * 3000, chunk_delay_s=0.0 if not streamed else 0.001))
        answer = await post(client, gateway, ask(stream=streamed))
        text = text_of(answer) if streamed else answer.json()["choices"][0]["message"]["content"]
        assert json.loads(text) == {"age": 36}
        assert len(text) < 600
        assert gateway.parts.usage.events[-1].status == "ok"
    if streamed:
        assert provider.aborted == 1


async def test_a_schema_that_is_none_is_refused_before_a_model_is_asked(
    client: httpx.AsyncClient, provider: Provider
) -> None:
    async with serving(Parts(), routed(provider, "fail")) as gateway:
        wrong = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "nope"}}}
        answer = await post(client, gateway, ask(response_format=wrong))
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_schema")
        answer = await post(client, gateway, ask(guided_regex="a+"))
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "guided_regex")
    assert provider.seen == []


async def test_llamacpp_gets_a_grammar_where_vllm_gets_its_own_fields(
    client: httpx.AsyncClient, provider: Provider
) -> None:
    deployments = [deployment("d1", provider.base_url, provider=engine) for engine in ("llamacpp", "vllm")]
    models = (model("small", deployments[0]), model("large", deployments[1]))
    async with serving(Parts(), snapshot(*models)) as gateway:
        provider.next(Behaviour(text="42"), Behaviour(text="42"), Behaviour(text="x"))
        demand = {"response_format": None, "structured_outputs": {"regex": r"\d+"}}
        assert (await post(client, gateway, ask(**demand))).status_code == 200
        assert provider.seen[-1].json["grammar"] == "root ::= ([0-9])+"
        assert "structured_outputs" not in provider.seen[-1].json
        assert (await post(client, gateway, ask(model="large", **demand))).status_code == 200
        assert provider.seen[-1].json["structured_outputs"] == {"regex": r"\d+"}
        assert (await post(client, gateway, ask(**demand))).status_code == 502


async def test_what_guards_take_out_is_not_taken_for_the_models_mistake(
    client: httpx.AsyncClient, provider: Provider
) -> None:
    rules = {"guard_output": "enforce"}
    async with serving(Parts(), routed(provider, "fail", **rules)) as gateway:
        demand = {"response_format": None, "structured_outputs": {"choice": ["ada@example.org"]}}
        provider.next(*[Behaviour(text="ada@example.org")] * 2, Behaviour(text="bob ada@example.org"))
        assert (await post(client, gateway, ask(**demand))).json()["choices"][0]["message"]["content"] == "[EMAIL]"
        assert text_of(await post(client, gateway, ask(stream=True, **demand))) == "[EMAIL]"
        answer = await post(client, gateway, ask(stream=True, **demand))
        assert told(answer)[-1]["error"]["code"] == "structured_output_invalid"
        assert "bob" not in answer.text


async def test_the_responses_api_tells_of_it_in_its_own_shape(client: httpx.AsyncClient, provider: Provider) -> None:
    async with serving(Parts(), routed(provider, "fail")) as gateway:
        body = {
            "model": "small",
            "input": "Ada?",
            "text": {"format": {"type": "json_schema", "name": "p", "schema": SCHEMA}},
        }
        provider.next(GOOD, BAD, BAD)
        assert (await post(client, gateway, body, "/v1/responses")).status_code == 200
        assert (await post(client, gateway, body, "/v1/responses")).json()["error"][
            "code"
        ] == "structured_output_invalid"
        streamed = await post(client, gateway, {**body, "stream": True}, "/v1/responses")
        assert "response.completed" not in streamed.text
        assert "response.failed" in streamed.text
        assert "has not the form" in streamed.text
