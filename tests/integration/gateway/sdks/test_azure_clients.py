"""Clients that are made for Azure OpenAI work as they are: their paths, their key's header, and the model in the path."""

from collections.abc import AsyncIterator

import httpx
import openai
import pytest
from tests.integration.gateway.sdks.sdk_platform import Platform

pytestmark = pytest.mark.integration

_CHAT = {"messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture
async def client(platform: Platform) -> AsyncIterator[openai.AsyncAzureOpenAI]:
    async with openai.AsyncAzureOpenAI(
        azure_endpoint=platform.url, api_key=platform.key, api_version="2024-10-21", max_retries=0
    ) as made:
        yield made


async def test_the_official_client_chats_streams_and_embeds(
    platform: Platform, client: openai.AsyncAzureOpenAI
) -> None:
    platform.answer(text="Hello from afar.")
    whole = await client.chat.completions.create(model="open", messages=[{"role": "user", "content": "hi"}])
    assert whole.choices[0].message.content == "Hello from afar."
    stream = await client.chat.completions.create(
        model="claude",
        messages=[{"role": "user", "content": "hi"}],
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = [chunk async for chunk in stream]
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "Hello from afar."
    assert chunks[-1].usage is not None
    assert len((await client.embeddings.create(model="vectors", input=["a", "b"])).data) == 2
    said = await client.responses.create(model="open", input="hi")
    assert said.output_text == "Hello from afar."
    assert "open" in {model.id async for model in client.models.list()}


async def test_the_deployment_of_the_path_is_the_model_whatever_the_body_says(platform: Platform) -> None:
    async with openai.AsyncAzureOpenAI(
        azure_endpoint=platform.url, azure_deployment="claude", api_key=platform.key, api_version="2024-10-21"
    ) as client:
        answer = await client.chat.completions.with_raw_response.create(
            model="gpt-4o", messages=[{"role": "user", "content": "hi"}]
        )
    assert answer.headers["x-sluice-model"] == "claude"


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_without_a_model_is_enough(platform: Platform, chunked: bool) -> None:
    url = f"{platform.url}/openai/deployments/open/chat/completions?api-version=2024-10-21"
    raw = httpx.Request("POST", url, json=_CHAT).content
    headers = {"api-key": platform.key, "content-type": "application/json"}

    async def pieces() -> AsyncIterator[bytes]:
        yield raw[:20]
        yield raw[20:]

    async with httpx.AsyncClient(timeout=60) as http:
        answer = await http.post(url, content=pieces() if chunked else raw, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-sluice-model"] == "open"


async def test_what_is_wrong_is_told_as_on_the_other_paths(platform: Platform) -> None:
    url = f"{platform.url}/openai/deployments/open/chat/completions"
    key = {"api-key": platform.key}
    async with httpx.AsyncClient(timeout=60) as http:
        told = {
            401: await http.post(url, json=_CHAT, headers={"api-key": "sk-wrong"}),
            404: await http.post(url.replace("/open/", "/nobody/"), json=_CHAT, headers=key),
            400: await http.post(url, content=b"[1]", headers=key),
            413: await http.post(url, content=b" " * (10 * 1024 * 1024 + 1), headers=key),
        }
        nowhere = await http.post(url.replace("chat/completions", "dreams"), json=_CHAT, headers=key)
    assert {status: answer.status_code for status, answer in told.items()} == {status: status for status in told}
    assert told[404].json()["error"]["code"] == "model_not_found"
    assert nowhere.status_code == 404
    assert nowhere.json()["error"]["code"] == "not_found"
