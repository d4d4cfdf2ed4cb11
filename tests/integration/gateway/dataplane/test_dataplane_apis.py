"""Clients of three APIs, with their official SDKs, on providers of four, through the whole request path."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import anthropic
import httpx
import openai
import pytest
from anthropic_provider import KEY as ANTHROPIC_KEY
from anthropic_provider import AnthropicProvider
from bedrock_provider import API_KEY as BEDROCK_KEY
from bedrock_provider import BedrockProvider
from foreign_provider import Behaviour, ForeignProvider
from gateway_parts import POISON, SECRET, Keys, Parts, Secrets, Served, deployment, model, serving, snapshot
from gemini_provider import KEY as GEMINI_KEY
from gemini_provider import GeminiProvider
from openai_provider import Provider

from sluice.contracts.routing import Policy
from sluice_gateway.dataplane.deps import Options

TEXT = "The quick brown fox."
PROVIDERS = ("openai", "anthropic", "gemini", "bedrock")
FOREIGN = PROVIDERS[1:]
VECTORS = {"gemini": "gemini-embedding-001", "bedrock": "cohere.embed-english-v3", "anthropic": "claude-1"}
QUESTION = [{"role": "user", "content": "What is a fox?"}]
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


@dataclass
class World:
    """A request path with one model on each provider, and the three official clients."""

    served: Served
    simulators: dict[str, Provider]
    openai: openai.AsyncOpenAI
    anthropic: anthropic.AsyncAnthropic
    http: httpx.AsyncClient

    def answer(self, provider: str, **changes: object) -> None:
        """Say how a provider answers from now on."""
        self.simulators[provider].default = Behaviour(**{"text": TEXT, **changes})  # type: ignore[arg-type]

    @property
    def usage(self) -> list[tuple[str, str, int, int, bool]]:
        """What was recorded: model, status, tokens, exact."""
        return [
            (event.model, event.status, event.prompt_tokens, event.completion_tokens, event.tokens_exact)
            for event in self.served.parts.usage.events
        ]


@asynccontextmanager
async def world(policy: Policy | None = None) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        simulators: dict[str, Provider] = {
            "openai": await stack.enter_async_context(Provider()),
            "anthropic": await stack.enter_async_context(AnthropicProvider()),
            "gemini": await stack.enter_async_context(GeminiProvider()),
            "bedrock": await stack.enter_async_context(BedrockProvider()),
        }
        models = []
        for name, upstream in VECTORS.items():
            auth = {"kind": "bearer", "env": name.upper()}
            place = deployment(
                f"v-{name}", simulators[name].base_url, provider=name, auth=auth, upstream_model=upstream
            )
            models.append(model(f"vectors-{name}", place, kind="embedding"))
        for name, simulator in simulators.items():
            auth = {"kind": "bearer", "env": name.upper()} if name != "openai" else {"kind": "none"}
            place = deployment(f"d-{name}", simulator.base_url, provider=name, auth=auth, upstream_model=f"{name}-1")
            models.append(model(name, place, policy=policy.name if policy else None, max_output_tokens=500))
        secrets = Secrets({"ANTHROPIC": ANTHROPIC_KEY, "GEMINI": GEMINI_KEY, "BEDROCK": BEDROCK_KEY})
        parts = Parts(secrets=secrets, keys=Keys(), options=Options(cooldown_s=0.0))
        served = await stack.enter_async_context(
            serving(parts, snapshot(*models, policies=(policy,) if policy else ()))
        )
        found = World(
            served,
            simulators,
            await stack.enter_async_context(
                openai.AsyncOpenAI(base_url=f"{served.url}/v1", api_key="sk-test", max_retries=0)
            ),
            await stack.enter_async_context(
                anthropic.AsyncAnthropic(base_url=served.url, api_key="sk-test", max_retries=0)
            ),
            await stack.enter_async_context(
                httpx.AsyncClient(base_url=served.url, headers={"authorization": "Bearer sk-test"}, timeout=60)
            ),
        )
        for name in simulators:
            found.answer(name)
        yield found


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize("client", ["chat", "messages", "responses"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_every_client_gets_its_answer_from_every_provider(name: str, client: str, stream: bool) -> None:
    async with world() as on:
        text, prompt, completion = await ask(on, client, name, stream=stream)
        assert text == TEXT
        assert prompt > 0
        assert completion > 0
        assert on.usage == [(name, "ok", prompt, completion, True)]
        assert on.simulators[name].seen[0].json.get("model", f"{name}-1") == f"{name}-1"
        assert not any(state.in_flight for state in on.served.plane._table.models[name].deployments)


async def ask(on: World, client: str, name: str, *, stream: bool) -> tuple[str, int, int]:
    """Ask with an official client; returns the text and the token counts that the client was told."""
    if client == "chat":
        if not stream:
            whole = await on.openai.chat.completions.create(model=name, messages=QUESTION)  # type: ignore[arg-type]
            return whole.choices[0].message.content or "", whole.usage.prompt_tokens, whole.usage.completion_tokens
        text, usage = "", None
        options = {"include_usage": True}
        async for chunk in await on.openai.chat.completions.create(
            model=name, messages=QUESTION, stream=True, stream_options=options
        ):
            text += "".join(choice.delta.content or "" for choice in chunk.choices)
            usage = chunk.usage or usage
        return text, usage.prompt_tokens, usage.completion_tokens
    if client == "messages":
        if not stream:
            message = await on.anthropic.messages.create(model=name, max_tokens=100, messages=QUESTION)
            assert message._request_id.startswith("req_")
        else:
            async with on.anthropic.messages.stream(model=name, max_tokens=100, messages=QUESTION) as events:
                message = await events.get_final_message()
                assert events.request_id.startswith("req_")
        assert message.stop_reason == "end_turn"
        return message.content[0].text, message.usage.input_tokens, message.usage.output_tokens
    if not stream:
        response = await on.openai.responses.create(model=name, input="What is a fox?")
    else:
        async with on.openai.responses.stream(model=name, input="What is a fox?") as events:
            response = await events.get_final_response()
    assert response.status == "completed"
    return response.output_text, response.usage.input_tokens, response.usage.output_tokens


@pytest.mark.parametrize("name", PROVIDERS)
async def test_every_stream_ends_with_what_it_cost(name: str) -> None:
    async with world() as on:
        assert await _told(on, name) == [
            pytest.approx(event.cost_usd, rel=1e-12) for event in on.served.parts.usage.events
        ]
        assert all(event.cost_usd > 0 for event in on.served.parts.usage.events)


async def _told(on: World, name: str) -> list[float]:
    """Stream with each official client, and return what each is told of the cost."""
    found = []
    async for chunk in await on.openai.chat.completions.create(
        model=name, messages=QUESTION, stream=True, stream_options={"include_usage": True}
    ):
        found += [chunk.usage.model_extra["sluice"]["cost_usd"]] if chunk.usage else []
    async for event in await on.anthropic.messages.create(model=name, max_tokens=100, messages=QUESTION, stream=True):
        found += [event.usage.model_extra["sluice"]["cost_usd"]] if event.type == "message_delta" else []
    async for event in await on.openai.responses.create(model=name, input="What is a fox?", stream=True):
        if event.type == "response.completed":
            found.append(event.response.usage.model_extra["sluice"]["cost_usd"])
    return found


@pytest.mark.parametrize("name", FOREIGN)
async def test_an_openai_client_calls_tools_of_any_provider(name: str) -> None:
    async with world() as on:
        on.answer(name, text="", calls=(("weather", {"city": "Oslo"}),))
        tools = [{"type": "function", "function": {"name": "weather", "parameters": WEATHER}}]
        first = await on.openai.chat.completions.create(model=name, messages=QUESTION, tools=tools)
        call = first.choices[0].message.tool_calls[0]
        assert (call.function.name, json.loads(call.function.arguments)) == ("weather", {"city": "Oslo"})
        assert first.choices[0].finish_reason == "tool_calls"
        on.answer(name)
        told = [*QUESTION, first.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": "rain"}]
        second = await on.openai.chat.completions.create(model=name, messages=told, tools=tools)
        assert second.choices[0].message.content == TEXT


async def test_an_anthropic_client_on_anthropic_gets_the_bytes_that_came() -> None:
    async with world() as on:
        body = {"model": "anthropic", "max_tokens": 9, "messages": QUESTION, "metadata": {"user_id": "u"}, "top_k": 3}
        on.served.plane.use(verbatim(on))
        headers = {"x-api-key": "sk-test", "anthropic-version": "2023-06-01", "anthropic-beta": "some-beta"}
        raw = json.dumps(body, indent=1)
        answer = await on.http.post("/v1/messages", content=raw, headers=headers)
        seen = on.simulators["anthropic"].seen[0]
        assert seen.body.decode() == raw
        assert (seen.headers["x-api-key"], seen.headers["anthropic-beta"]) == (ANTHROPIC_KEY, "some-beta")
        assert answer.json()["id"] == "msg_013Zva2CMHLNnXjNJJKqJ2EF", "not an id of ours"
        on.answer("anthropic", thinking="hm", calls=(("weather", {"city": "Oslo"}),))
        root = on.simulators["anthropic"].base_url.removesuffix("/v1")
        direct = await on.http.post(
            f"{root}/v1/messages",
            json={**body, "stream": True},
            headers={**headers, "x-api-key": ANTHROPIC_KEY},
        )
        through = await on.http.post("/v1/messages", json={**body, "stream": True}, headers=headers)
        for came, sent in zip(through.text.split("\n"), direct.text.split("\n"), strict=True):
            if "message_delta" in came and came.startswith("data: "):  # the cost stands beside the last counts
                told = json.loads(came[6:])
                assert told["usage"].pop("sluice") == {"cost_usd": 0.000016}
                assert told == json.loads(sent[6:])
            else:
                assert came == sent
        assert [row[4] for row in on.usage] == [True, True]
        search = {"type": "web_search_20250305", "name": "web_search"}  # nothing but Anthropic has it
        answer = await on.http.post("/v1/messages", json={**body, "tools": [search]}, headers=headers)
        assert answer.status_code == 200, answer.text
        assert on.simulators["anthropic"].seen[-1].json["tools"] == [search]


async def test_betas_reach_anthropic_with_or_without_a_version_and_from_several_headers() -> None:
    async with world() as on:
        on.served.plane.use(verbatim(on))
        body = {"model": "anthropic", "max_tokens": 9, "messages": QUESTION}
        for betas in (["one-2026"], ["one-2026", "two-2026"]):
            headers = [("x-api-key", "sk-test"), *(("anthropic-beta", beta) for beta in betas)]
            answer = await on.http.post("/v1/messages", json=body, headers=headers)
            assert answer.status_code == 200, answer.text
            seen = on.simulators["anthropic"].seen[-1].headers
            assert (seen["anthropic-beta"], seen["anthropic-version"]) == (",".join(betas), "2026-10-21")


async def test_a_stream_with_tools_passes_as_it_came_on_a_provider_of_the_same_api() -> None:
    source = {"type": "text", "media_type": "text/plain", "data": "A fox is red."}
    cited = {"type": "document", "source": source, "citations": {"enabled": True}, "title": "t"}
    tool = {"name": "weather", "input_schema": WEATHER, "eager_input_streaming": True}
    body = {"model": "anthropic", "max_tokens": 9, "stream": True, "tools": [tool]}
    body["messages"] = [{"role": "user", "content": [cited]}]
    async with world() as on:
        on.served.plane.use(verbatim(on))
        on.answer("anthropic", calls=(("weather", {"city": "Oslo"}),))
        answer = await on.http.post("/v1/messages", json=body, headers={"x-api-key": "sk-test"})
        assert "msg_013Zva2CMHLNnXjNJJKqJ2EF" in answer.text, "not an id of ours"
        assert on.simulators["anthropic"].seen[-1].json == body
        form = {"format": {"type": "json_schema", "schema": WEATHER}}
        answer = await on.http.post(
            "/v1/messages", json={**body, "output_config": form}, headers={"x-api-key": "sk-test"}
        )
        assert "msg_013Zva2CMHLNnXjNJJKqJ2EF" not in answer.text, "a stream that is held to a form is read"
    assert [row[1] for row in on.usage] == ["ok", "ok"]


def verbatim(on: World) -> object:
    place = deployment(
        "same-name",
        on.simulators["anthropic"].base_url,
        provider="anthropic",
        upstream_model="anthropic",
        auth={"kind": "bearer", "env": "ANTHROPIC"},
    )
    return snapshot(model("anthropic", place))


@pytest.mark.parametrize("name", FOREIGN)
async def test_an_answer_that_breaks_off_is_told_and_billed(name: str) -> None:
    async with world() as on:
        on.answer(name, cut_after=3)
        with pytest.raises(openai.APIError) as told:
            async for _ in await on.openai.chat.completions.create(model=name, messages=QUESTION, stream=True):
                pass
        assert told.value.code == "stream_interrupted"
        with pytest.raises(anthropic.APIStatusError):
            async with on.anthropic.messages.stream(model=name, max_tokens=9, messages=QUESTION) as events:
                await events.get_final_message()
        assert [row[:2] for row in on.usage] == [(name, "error")] * 2


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("client", ["chat", "messages"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_cached_tokens_are_recorded_of_every_provider(name: str, client: str, stream: bool) -> None:
    async with world() as on:
        on.answer(name, cached=7)
        await ask(on, client, name, stream=stream)
        assert on.served.parts.usage.events[0].token_details == (7, 0, 0, 0, 0, 0)


@pytest.mark.parametrize("name", FOREIGN)
async def test_a_client_that_leaves_is_billed_what_was_counted_and_the_upstream_is_closed(name: str) -> None:
    async with world() as on:
        on.answer(name, repeat=50, chunk_delay_s=0.02)
        stream = await on.openai.chat.completions.create(model=name, messages=QUESTION, stream=True)
        async for chunk in stream:
            if chunk.choices[0].delta.content:
                break
        await stream.close()
        async with asyncio.timeout(60):
            while not on.usage:
                await asyncio.sleep(0.02)
        assert on.usage[0][:2] == (name, "cancelled")
        assert on.usage[0][3] > 0
        assert on.usage[0][4] is False, "the provider had not counted to the end"
        async with asyncio.timeout(60):
            while on.simulators[name].open:
                await asyncio.sleep(0.02)
        assert on.simulators[name].events_sent < 60


@pytest.mark.parametrize("name", FOREIGN)
async def test_faults_of_providers_have_the_shape_of_the_api_that_was_called(name: str) -> None:
    async with world() as on:
        on.answer(name, status=429, retry_after="7")
        with pytest.raises(openai.RateLimitError) as limited:
            await on.openai.chat.completions.create(model=name, messages=QUESTION)
        assert limited.value.response.headers["retry-after"] == "7"
        on.served.plane._table.models[name].deployments[0].paused_until = 0.0
        for status in (500, 503, 529):
            on.answer(name, status=status)
            with pytest.raises(anthropic.APIStatusError) as broken:
                await on.anthropic.messages.create(model=name, max_tokens=9, messages=QUESTION)
            assert broken.value.status_code == 502
            assert broken.value.body["type"] == "error"
            assert "secret-host" not in str(broken.value)
        on.answer(name, bad_json=True)
        with pytest.raises(openai.InternalServerError):
            await on.openai.responses.create(model=name, input="x")
        on.answer(name, status=401)
        with pytest.raises(openai.InternalServerError, match="its server failed"):
            await on.openai.chat.completions.create(model=name, messages=QUESTION)


async def test_refusals_of_the_gateway_have_the_shape_of_the_api_that_was_called() -> None:
    async with world() as on:
        with pytest.raises(anthropic.NotFoundError, match="does not exist") as unknown:
            await on.anthropic.messages.create(model="nope", max_tokens=9, messages=QUESTION)
        assert unknown.value.request_id == unknown.value.response.headers["x-request-id"]
        stranger = on.anthropic.with_options(api_key="sk-wrong")
        with pytest.raises(anthropic.AuthenticationError) as refused:
            await stranger.messages.create(model="openai", max_tokens=9, messages=QUESTION)
        assert refused.value.body["error"]["type"] == "authentication_error"
        with pytest.raises(openai.BadRequestError, match="previous_response_id"):
            await on.openai.responses.create(model="openai", input="x", previous_response_id="resp_1")
        answer = await on.http.post("/v1/messages", json={"model": "openai", "messages": QUESTION})
        assert (answer.status_code, answer.json()["type"]) == (400, "error")
        assert "max_tokens" in answer.json()["error"]["message"]
        with pytest.raises(openai.BadRequestError) as cannot:
            await on.openai.chat.completions.create(model="anthropic", messages=QUESTION, logprobs=True)
        assert (cannot.value.param, cannot.value.code) == ("logprobs", "unsupported_value")
        embedding = await on.http.post("/v1/embeddings", json={"model": "anthropic", "input": "x"})
        assert embedding.status_code == 400
    assert all(row[1] == "error" for row in on.usage)


@pytest.mark.parametrize(("name", "exact"), [("gemini", True), ("bedrock", False)])
async def test_openais_client_gets_vectors_from_every_provider_that_makes_them(name: str, exact: bool) -> None:
    async with world() as on:
        model = f"vectors-{name}"
        made = await on.openai.embeddings.create(model=model, input=["a", "bc"])  # the SDK asks for base64
        assert [one.embedding[:2] for one in made.data] == [[1 / 8, 97 / 8], [2 / 8, 197 / 8]]
        assert made.model == model
        plain = await on.openai.embeddings.create(model=model, input="a", encoding_format="float", dimensions=64)
        assert len(plain.data[0].embedding) == 64
        assert [(row[0], row[1], row[4]) for row in on.usage] == [(model, "ok", exact)] * 2
        assert all(row[2] > 0 for row in on.usage)
        with pytest.raises(openai.BadRequestError) as tokens:
            await on.openai.embeddings.create(model=model, input=[1, 2])
        assert tokens.value.param == "input"
        on.simulators[name].next(Behaviour(body=b"{}"), Behaviour(status=500))
        for _ in range(2):
            with pytest.raises(openai.InternalServerError):
                await on.openai.embeddings.create(model=model, input="a")
        listed = {one.id: one.model_extra["sluice"].get("endpoints") async for one in on.openai.models.list()}
        assert listed[model] == ["/v1/embeddings"]
        assert listed["vectors-anthropic"] == []


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("name", PROVIDERS)
async def test_guards_hold_whatever_api_is_spoken(name: str, stream: bool) -> None:
    policy = Policy(name="p", guard_input="enforce", guard_output="enforce")
    async with world(policy) as on:
        on.answer(name, text=f"Write to {SECRET} now.")
        asked = [{"role": "user", "content": f"I am {SECRET}"}]
        if stream:
            async with on.anthropic.messages.stream(model=name, max_tokens=99, messages=asked) as events:
                message = await events.get_final_message()
        else:
            message = await on.anthropic.messages.create(model=name, max_tokens=99, messages=asked)
        assert message.content[0].text == "Write to [EMAIL] now."
        assert SECRET not in on.simulators[name].seen[0].body.decode()
        with pytest.raises(anthropic.BadRequestError):
            await on.anthropic.messages.create(model=name, max_tokens=9, messages=[{"role": "user", "content": POISON}])


@pytest.mark.parametrize("name", ["openai", "anthropic", "gemini"])
async def test_tokens_are_counted_by_providers_that_count_and_cost_nothing(name: str) -> None:
    async with world() as on:
        counted = await on.anthropic.messages.count_tokens(model=name, messages=QUESTION)
        assert counted.input_tokens > 0
        assert on.usage == [(name, "ok", 0, 0, True)]
        on.simulators["openai"].next(Behaviour(status=404))
        with pytest.raises(anthropic.BadRequestError, match="count"):
            await on.anthropic.messages.count_tokens(model="openai", messages=QUESTION)


async def test_a_model_of_another_provider_takes_over() -> None:
    async with world() as on:
        models = []
        for name, backup in (("gemini", "anthropic"), ("anthropic", None)):
            place = deployment(
                f"d-{name}",
                on.simulators[name].base_url,
                provider=name,
                auth={"kind": "bearer", "env": name.upper()},
            )
            models.append(model(name, place, fallbacks=(backup,) if backup else ()))
        on.served.plane.use(snapshot(*models))
        on.answer("gemini", status=503)
        answer = await on.openai.chat.completions.with_raw_response.create(model="gemini", messages=QUESTION)
        assert answer.headers["x-sluice-model"] == "anthropic"
        assert answer.parse().choices[0].message.content == TEXT
        assert isinstance(on.simulators["anthropic"], ForeignProvider)


async def test_an_answer_too_deep_to_be_written_anew_passes_as_it_came_or_is_the_providers_fault() -> None:
    deep = b'{"a":' * 300 + b"1" + b"}" * 300
    message = b'{"role":"assistant","content":"hi","extra":' + deep + b"}"
    counts = b'{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}'
    whole = b'{"choices":[{"index":0,"finish_reason":"stop","message":' + message + b'}],"usage":' + counts + b"}"
    async with world() as on:
        on.simulators["openai"].default = Behaviour(body=whole)
        asked = {"model": "openai", "max_tokens": 5, "messages": QUESTION}
        passed = await on.http.post("/v1/chat/completions", json=asked)
        assert (passed.status_code, passed.content) == (200, whole)
        refused = await on.http.post("/v1/messages", json=asked)
        assert (refused.status_code, refused.json()["type"]) == (502, "error")
