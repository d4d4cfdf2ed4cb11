"""`langchain-openai` and `instructor`, with their main calls, against a gateway process."""

import json
from collections.abc import AsyncIterator
from typing import Any

import instructor
import openai
import pytest
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel, SecretStr
from tests.integration.gateway.sdks.sdk_platform import MODELS, Platform

TEXT = "A fox is a small wild dog."


class Animal(BaseModel):
    """What is asked for."""

    name: str
    legs: int


FOX = Animal(name="fox", legs=4)
CALLED: dict[str, Any] = {
    "tool_arguments": FOX.model_dump_json(),
    "calls": (("Animal", FOX.model_dump()),),
    "text": "",
}


@tool
def weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"rain in {city}"


@pytest.fixture
async def http() -> AsyncIterator[Any]:
    """Connections of the test's own loop; the library keeps its own ones beyond it."""
    async with openai.DefaultAsyncHttpxClient() as client:
        yield client


def chat(platform: Platform, http: Any, model: str, **settings: Any) -> ChatOpenAI:
    return ChatOpenAI(
        model=model, base_url=f"{platform.url}/v1", api_key=SecretStr(platform.key), max_retries=0,
        http_async_client=http, **settings
    )  # fmt: skip


async def test_langchain_asks_and_streams(platform: Platform, http: Any) -> None:
    platform.answer(text=TEXT)
    for model in MODELS:
        for responses in (False, True):
            asking = chat(platform, http, model, use_responses_api=responses)
            whole = await asking.ainvoke("What is a fox?")
            assert whole.text == TEXT
            assert whole.usage_metadata is not None
            assert whole.usage_metadata["output_tokens"] > 0
            parts = [part async for part in asking.astream([HumanMessage("What is a fox?")])]
            assert "".join(part.text for part in parts) == TEXT
            assert len(parts) > 2
        both = await chat(platform, http, model).abatch(["a", "b"])
        assert [one.text for one in both] == [TEXT, TEXT]


async def test_langchain_calls_tools_and_gives_structure(platform: Platform, http: Any) -> None:
    city = {"city": "Oslo"}
    for model in MODELS:
        platform.answer(tool_arguments=json.dumps(city), calls=(("weather", city),), text="")
        asking = chat(platform, http, model).bind_tools([weather])
        first = await asking.ainvoke("Rain in Oslo?")
        assert [(call["name"], call["args"]) for call in first.tool_calls] == [("weather", city)]
        platform.answer(text=TEXT)
        told = ToolMessage(weather.invoke(city), tool_call_id=first.tool_calls[0]["id"])
        assert (await asking.ainvoke([HumanMessage("Rain in Oslo?"), first, told])).text == TEXT
        platform.answer(text=FOX.model_dump_json())
        schema = chat(platform, http, model).with_structured_output(Animal, method="json_schema")
        assert await schema.ainvoke("A fox?") == FOX
        platform.answer(**CALLED)
        function = chat(platform, http, model).with_structured_output(Animal, method="function_calling")
        assert await function.ainvoke("A fox?") == FOX


async def test_langchain_embeds(platform: Platform, http: Any) -> None:
    embeddings = OpenAIEmbeddings(
        model="vectors", base_url=f"{platform.url}/v1", api_key=SecretStr(platform.key), check_embedding_ctx_length=False,
        http_async_client=http,
    )  # fmt: skip
    assert [len(one) for one in await embeddings.aembed_documents(["a", "bcd"])] == [2, 2]
    assert len(await embeddings.aembed_query("a")) == 2


@pytest.mark.parametrize("model", MODELS)
async def test_instructor_gives_objects(platform: Platform, model: str) -> None:
    asks: Any = {"model": model, "messages": [{"role": "user", "content": "A fox?"}], "response_model": Animal}
    async with openai.AsyncOpenAI(base_url=f"{platform.url}/v1", api_key=platform.key, max_retries=0) as api:
        platform.answer(**CALLED)
        by_tools = instructor.from_openai(api, mode=instructor.Mode.TOOLS)
        made = await by_tools.chat.completions.create(max_retries=1, **asks)
        assert made.model_dump() == FOX.model_dump()
        found, raw = await by_tools.chat.completions.create_with_completion(max_retries=1, **asks)
        assert (found.model_dump(), raw.model) == (FOX.model_dump(), model)
        platform.answer(**{**CALLED, "calls": (("PartialAnimal", FOX.model_dump()),)})  # what the tool is called then
        partial = [one async for one in by_tools.chat.completions.create_partial(max_retries=1, **asks)]
        assert partial[-1].model_dump() == FOX.model_dump()
        platform.answer(text=FOX.model_dump_json())
        by_schema = instructor.from_openai(api, mode=instructor.Mode.JSON_SCHEMA)
        made = await by_schema.chat.completions.create(max_retries=1, **asks)
        assert made.model_dump() == FOX.model_dump()
