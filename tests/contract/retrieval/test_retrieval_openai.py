"""The embeddings endpoint with the official client, and its errors in OpenAI's shape."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import httpx2
import numpy as np
import openai
import pytest
import pytest_asyncio
from fastapi import FastAPI

from sluice.testing import ADMIN_KEY, admin_headers

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def client(api: httpx.AsyncClient, app: FastAPI) -> AsyncIterator[openai.AsyncOpenAI]:
    http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app))
    async with openai.AsyncOpenAI(
        base_url="http://test/v1", api_key=ADMIN_KEY, http_client=http, max_retries=0
    ) as made:
        yield made


async def test_the_official_client_gets_vectors(client: openai.AsyncOpenAI) -> None:
    # The client asks for base64 by itself.
    answer = await client.embeddings.create(model="minilm", input=["hello world", "good bye"])
    assert [item.index for item in answer.data] == [0, 1]
    assert all(len(item.embedding) == 384 for item in answer.data)
    assert (answer.model, answer.usage.prompt_tokens, answer.usage.total_tokens) == ("minilm", 8, 8)
    plain = await client.embeddings.create(model="minilm", input="hello world", encoding_format="float", user="u1")
    assert plain.data[0].embedding == pytest.approx(answer.data[0].embedding, abs=0.05)
    assert np.linalg.norm(plain.data[0].embedding) == pytest.approx(1, abs=1e-5)
    assert plain.usage.prompt_tokens == 4


async def test_384_dimensions_may_be_named(client: openai.AsyncOpenAI) -> None:
    answer = await client.embeddings.create(model="minilm", input="hello", dimensions=384)
    assert len(answer.data[0].embedding) == 384


@pytest.mark.parametrize(
    ("body", "status", "code", "sentence"),
    [
        ({"model": "ada", "input": "x"}, 404, "model_not_found", "there is 'minilm'"),
        ({"model": "minilm", "input": ""}, 400, "embedding_input_invalid", "none of them empty"),
        ({"model": "minilm", "input": []}, 400, "embedding_input_invalid", "none of them empty"),
        ({"model": "minilm", "input": ["a", ""]}, 400, "embedding_input_invalid", "none of them empty"),
        ({"model": "minilm", "input": [1, 2]}, 400, "embedding_input_invalid", "Token arrays"),
        ({"model": "minilm", "input": [[1, 2]]}, 400, "embedding_input_invalid", "Token arrays"),
        ({"model": "minilm", "input": "x", "dimensions": 128}, 400, "embedding_input_invalid", "384 numbers"),
        ({"model": "minilm", "input": ["x"] * 51}, 400, "embedding_input_invalid", "at most 50"),
        ({"model": "minilm", "input": "word " * 4000}, 400, "embedding_input_invalid", "more than 3000 tokens"),
        ({"model": "minilm", "input": "x", "encoding_format": "hex"}, 400, "invalid_value", "encoding_format"),
        ({"model": "minilm"}, 400, "invalid_value", "input"),
        ({"model": "minilm", "input": {"a": 1}}, 400, "invalid_value", "input"),
        ([], 400, "invalid_value", "body"),
    ],
)
async def test_errors_have_openais_shape(
    api: httpx.AsyncClient, body: Any, status: int, code: str, sentence: str
) -> None:
    answer = await api.post("/v1/embeddings", json=body, headers=admin_headers())
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", code)
    assert sentence in error["message"]


async def test_malformed_json_is_a_400(api: httpx.AsyncClient) -> None:
    answer = await api.post("/v1/embeddings", content=b"{", headers=admin_headers())
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


async def test_a_wrong_key_is_a_401(app: FastAPI, api: httpx.AsyncClient) -> None:
    http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app))
    async with openai.AsyncOpenAI(base_url="http://test/v1", api_key="wrong", http_client=http, max_retries=0) as made:
        with pytest.raises(openai.AuthenticationError):
            await made.embeddings.create(model="minilm", input="x")
