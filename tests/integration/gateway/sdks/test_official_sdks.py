"""The official `openai` and `anthropic` clients' own feature calls, unmodified, against a gateway process."""

import asyncio
import json
from typing import Any

import anthropic
import openai
import pytest
from foreign_provider import Behaviour
from pydantic import BaseModel
from tests.integration.gateway.sdks.sdk_platform import MODELS, Platform

QUESTION: list[Any] = [{"role": "user", "content": "What is a fox?"}]
TEXT = "A fox is a small wild dog."
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}


class Animal(BaseModel):
    """What is asked for."""

    name: str
    legs: int


FOX = Animal(name="fox", legs=4)


async def test_openai_chat(platform: Platform) -> None:
    async with openai.AsyncOpenAI(base_url=f"{platform.url}/v1", api_key=platform.key, max_retries=0) as api:
        for model in MODELS:
            platform.answer(text=TEXT)
            whole = await api.chat.completions.create(model=model, messages=QUESTION)
            assert whole.choices[0].message.content == TEXT
            assert whole.usage is not None
            assert whole.usage.total_tokens > 0
            async with api.chat.completions.stream(model=model, messages=QUESTION) as stream:
                kinds = {event.type async for event in stream}
                final = await stream.get_final_completion()
            assert {"chunk", "content.delta", "content.done"} <= kinds
            assert final.choices[0].message.content == TEXT
            raw = await api.chat.completions.with_raw_response.create(model=model, messages=QUESTION)
            assert raw.headers["x-sluice-model"] == model
            assert raw.parse().choices[0].message.content == TEXT

            platform.answer(text=FOX.model_dump_json())
            parsed = await api.chat.completions.parse(model=model, messages=QUESTION, response_format=Animal)
            assert parsed.choices[0].message.parsed == FOX
            async with api.chat.completions.stream(model=model, messages=QUESTION, response_format=Animal) as typed:
                assert (await typed.get_final_completion()).choices[0].message.parsed == FOX


async def test_openai_tools(platform: Platform) -> None:
    asked: Any = {"tools": [TOOL], "tool_choice": "auto"}
    city = {"city": "Oslo"}
    async with openai.AsyncOpenAI(base_url=f"{platform.url}/v1", api_key=platform.key, max_retries=0) as api:
        for model in MODELS:
            platform.answer(tool_arguments=json.dumps(city), calls=(("weather", city),), text="")
            first = await api.chat.completions.create(model=model, messages=QUESTION, **asked)
            calls = first.choices[0].message.tool_calls or []
            assert [(call.function.name, json.loads(call.function.arguments)) for call in calls] == [("weather", city)]
            async with api.chat.completions.stream(model=model, messages=QUESTION, **asked) as stream:
                streamed = (await stream.get_final_completion()).choices[0].message.tool_calls or []
            assert [json.loads(call.function.arguments) for call in streamed] == [city]
            platform.answer(text=TEXT)
            turns: Any = [
                *QUESTION,
                first.choices[0].message,
                {"role": "tool", "tool_call_id": calls[0].id, "content": "rain"},
            ]
            last = await api.chat.completions.create(model=model, messages=turns, **asked)
            assert last.choices[0].message.content == TEXT


async def test_openai_responses(platform: Platform) -> None:
    tool: Any = {"type": "function", "name": "weather", "parameters": SCHEMA, "strict": False}
    city = {"city": "Oslo"}
    async with openai.AsyncOpenAI(base_url=f"{platform.url}/v1", api_key=platform.key, max_retries=0) as api:
        for model in MODELS:
            platform.answer(text=TEXT)
            stored = {"name": f"fox-{model}".lower(), "sections": {"task": "What is a {{animal}}?"}, "model": model}
            await api.post("/prompts", cast_to=object, body=stored)
            asked = await api.responses.with_raw_response.create(
                prompt={"id": stored["name"], "version": "1", "variables": {"animal": "fox"}}
            )
            assert asked.parse().output_text == TEXT
            assert asked.headers["x-sluice-prompt"] == f"{stored['name']}; version=1"
            whole = await api.responses.create(model=model, input="What is a fox?", instructions="Be short.")
            assert whole.output_text == TEXT
            async with api.responses.stream(model=model, input="What is a fox?") as stream:
                kinds = {event.type async for event in stream}
                final = await stream.get_final_response()
            assert {"response.created", "response.output_text.delta", "response.completed"} <= kinds
            assert final.output_text == TEXT
            platform.answer(text=FOX.model_dump_json())
            parsed = await api.responses.parse(model=model, input="A fox?", text_format=Animal)
            assert parsed.output_parsed == FOX
            platform.answer(tool_arguments=json.dumps(city), calls=(("weather", city),), text="")
            called = await api.responses.create(model=model, input="Rain in Oslo?", tools=[tool])
            call = next(item for item in called.output if item.type == "function_call")
            assert (call.name, json.loads(call.arguments)) == ("weather", city)
            platform.answer(text=TEXT)
            answer: Any = [
                {"role": "user", "content": "Rain in Oslo?"},
                call.model_dump(exclude_none=True),
                {"type": "function_call_output", "call_id": call.call_id, "output": "yes"},
            ]
            assert (await api.responses.create(model=model, input=answer, tools=[tool])).output_text == TEXT


async def test_openai_all_else(platform: Platform) -> None:
    async with openai.AsyncOpenAI(base_url=f"{platform.url}/v1", api_key=platform.key, max_retries=0) as api:
        platform.answer(text=TEXT)
        assert {model.id async for model in api.models.list()} >= {*MODELS, "vectors"}
        assert (await api.models.retrieve("open")).id == "open"
        vectors = await api.embeddings.create(model="vectors", input=["a", "bcd"])
        assert [len(one.embedding) for one in vectors.data] == [2, 2]
        assert (await api.completions.create(model="open", prompt="A fox")).choices[0].text == TEXT

        line = {"custom_id": "c", "method": "POST", "url": "/v1/embeddings", "body": {"model": "vectors", "input": "x"}}
        file = await api.files.create(file=("in.jsonl", json.dumps(line).encode()), purpose="batch")
        assert file.id in [one.id async for one in api.files.list()]
        assert (await api.files.retrieve(file.id)).filename == "in.jsonl"
        assert json.loads((await api.files.content(file.id)).text) == line
        batch = await api.batches.create(
            input_file_id=file.id, endpoint="/v1/embeddings", completion_window="24h", metadata={"a": "b"}
        )
        assert [one.id async for one in api.batches.list()] == [batch.id]
        assert (await api.batches.cancel(batch.id)).status in ("cancelling", "cancelled")
        other = await api.files.create(file=("notes.txt", b"x"), purpose="user_data")
        assert (await api.files.delete(other.id)).deleted

        for wrong, kind in (({"model": "nope"}, openai.NotFoundError), ({"model": 3}, openai.BadRequestError)):
            with pytest.raises(kind) as raised:
                await api.chat.completions.create(messages=QUESTION, **wrong)  # type: ignore[call-overload]
            assert raised.value.body["message"]  # type: ignore[attr-defined]


async def test_the_clients_that_block_work_as_well(platform: Platform) -> None:
    platform.answer(text=TEXT)

    def ask() -> list[str]:
        with (
            openai.OpenAI(base_url=f"{platform.url}/v1", api_key=platform.key) as one,
            anthropic.Anthropic(base_url=platform.url, api_key=platform.key) as other,
        ):
            whole = one.chat.completions.create(model="open", messages=QUESTION).choices[0].message.content
            parts = [
                chunk.choices[0].delta.content or ""
                for chunk in one.chat.completions.create(model="claude", messages=QUESTION, stream=True)
                if chunk.choices
            ]
            with other.messages.stream(model="open", max_tokens=50, messages=QUESTION) as stream:
                words = list(stream.text_stream)
            return [whole or "", "".join(parts), "".join(words)]

    assert await asyncio.to_thread(ask) == [TEXT] * 3


async def test_anthropic_messages(platform: Platform) -> None:
    ask: Any = {"max_tokens": 50, "messages": QUESTION}
    async with anthropic.AsyncAnthropic(base_url=platform.url, api_key=platform.key, max_retries=0) as api:
        for model in MODELS:
            platform.answer(text=TEXT)
            whole = await api.messages.create(model=model, system="Be short.", **ask)
            assert whole.content[0].text == TEXT  # type: ignore[union-attr]
            async with api.messages.stream(model=model, **ask) as stream:
                words = [text async for text in stream.text_stream]
                final = await stream.get_final_message()
            assert "".join(words) == final.content[0].text == TEXT  # type: ignore[union-attr]
            assert final.usage.output_tokens > 0
            events = [event.type async for event in await api.messages.create(model=model, stream=True, **ask)]
            assert (events[0], events[-1]) == ("message_start", "message_stop")
            platform.answer(text=FOX.model_dump_json())
            assert (await api.messages.parse(model=model, output_format=Animal, **ask)).parsed_output == FOX
        platform.answer(text=TEXT)
        assert (await api.messages.count_tokens(model="claude", messages=QUESTION)).input_tokens > 0


async def test_anthropic_tools(platform: Platform) -> None:
    tool: Any = {"name": "weather", "description": "The weather.", "input_schema": SCHEMA}
    city = {"city": "Oslo"}
    async with anthropic.AsyncAnthropic(base_url=platform.url, api_key=platform.key, max_retries=0) as api:
        for model in MODELS:
            platform.answer(tool_arguments=json.dumps(city), calls=(("weather", city),), text="")
            ask: Any = {"model": model, "max_tokens": 50, "tools": [tool]}
            first = await api.messages.create(messages=QUESTION, **ask)
            call = next(block for block in first.content if block.type == "tool_use")
            assert (call.name, call.input) == ("weather", city)
            async with api.messages.stream(messages=QUESTION, **ask) as stream:
                streamed = await stream.get_final_message()
            assert [block.input for block in streamed.content if block.type == "tool_use"] == [city]
            platform.answer(text=TEXT)
            turns: Any = [
                *QUESTION,
                {"role": "assistant", "content": first.content},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "rain"}]},
            ]
            last = await api.messages.create(messages=turns, **ask)
            assert last.content[0].text == TEXT  # type: ignore[union-attr]


async def test_the_anthropic_tool_runner(platform: Platform) -> None:
    asked: list[str] = []

    @anthropic.beta_async_tool
    async def weather(city: str) -> str:
        """Tell the weather.

        Args:
            city: where
        """
        asked.append(city)
        return "rain"

    city = {"city": "Oslo"}
    async with anthropic.AsyncAnthropic(base_url=platform.url, api_key=platform.key, max_retries=0) as api:
        platform.answer(text=TEXT)
        platform.providers["open"].next(Behaviour(tool_arguments=json.dumps(city), text=""))
        runner = api.beta.messages.tool_runner(model="open", max_tokens=50, tools=[weather], messages=QUESTION)
        last = await runner.until_done()
        assert last.content[0].text == TEXT  # type: ignore[union-attr]
    assert asked == ["Oslo"]
    assert [len(seen.json["messages"]) for seen in platform.providers["open"].seen] == [1, 3]


async def test_anthropic_models(platform: Platform) -> None:
    async with anthropic.AsyncAnthropic(base_url=platform.url, api_key=platform.key, max_retries=0) as api:
        found = {one.id: one async for one in api.models.list(limit=1)}
        assert found.keys() >= {*MODELS}
        one = await api.models.retrieve("claude")
        assert (one.id, one.type, one.display_name, one.max_tokens) == ("claude", "model", "claude", 500)
        assert one.created_at.year >= 1970
        with pytest.raises(anthropic.NotFoundError):
            await api.models.retrieve("nope")
