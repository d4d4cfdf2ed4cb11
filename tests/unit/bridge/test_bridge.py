"""The bridge's API over a stand-in at the edge of the library: it answers with the types of the SDKs, and fails as they do."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.create_embedding_response import CreateEmbeddingResponse
from pydantic import ValidationError

from sluice.auth import ServiceTokens, secret_for
from sluice.errors import Unauthorized
from sluice.settings import ConfigError
from sluice.testing import admin_headers, asgi_client, platform_settings, service_headers
from sluice_bridge.app import create_app
from sluice_bridge.domain.specs import ProviderSpec
from sluice_bridge.settings import BridgePlatform, Settings
from sluice_bridge.wiring import load_providers, open_deps

KEY = "provider-key-0123456789"
USAGE = {"prompt_tokens": 70, "completion_tokens": 8, "total_tokens": 78}
MESSAGES = [{"role": "user", "content": "hi"}]
FILE = """
providers:
  - id: cohere
    sdk: cohere
    key: {env: BRIDGE_TEST_KEY}
    timeout_s: 0.2
    extra_fields: [safety_mode]
  - id: spare
    sdk: cohere
    only_if: ""
"""


class AnyLLMError(Exception):
    """As any-llm's errors: the provider's status, and the SDK's own error inside."""

    def __init__(self, message: str, status_code: int | None = None, original: Exception | None = None) -> None:
        super().__init__(message)
        self.message, self.status_code, self.original_exception = message, status_code, original
        self.code = self.param = None


class RateLimitError(AnyLLMError):
    """With the header as it came."""

    retry_after = "7"


class ContextLengthExceededError(AnyLLMError):
    """No status of its own."""


class SdkError(Exception):
    """As a provider's SDK raises: its text holds everything, its body the sentence."""

    def __init__(self, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(f"headers: {headers}, body: {message}")
        self.body, self.headers = {"message": message}, headers


@dataclass
class Library:
    """Stands where any-llm's client would; keeps what it was asked."""

    failing: Exception | None = None
    stall_s: float = 0.0
    asked: list[dict[str, Any]] = field(default_factory=list)
    closed: int = 0
    TIMEOUT_SUPPORT = "native"

    async def acompletion(self, **fields: Any) -> Any:
        self.asked.append(fields)
        await asyncio.sleep(self.stall_s)
        if self.failing is not None:
            raise self.failing
        if fields.get("stream"):
            return self._chunks()
        message = {"role": "assistant", "content": "Oslo", "reasoning": {"content": "I know it."}}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        return ChatCompletion.model_validate(
            {"id": "c", "created": 0, "model": "x", "object": "chat.completion", "choices": [choice], "usage": USAGE}
        )

    async def _chunks(self) -> AsyncIterator[ChatCompletionChunk]:
        try:
            for delta, reason, usage in (
                ({}, None, None),
                ({"content": "Os"}, None, None),
                ({"content": "lo"}, "stop", USAGE),
            ):
                choice = {"index": 0, "delta": delta, "finish_reason": reason}
                yield ChatCompletionChunk.model_validate(
                    {
                        "id": str(delta),
                        "created": 0,
                        "model": "x",
                        "object": "chat.completion.chunk",
                        "choices": [choice],
                        "usage": usage,
                    }
                )
        finally:
            self.closed += 1

    async def aembedding(self, model: str, inputs: str | list[str], **fields: Any) -> CreateEmbeddingResponse:
        self.asked.append({"model": model, "inputs": inputs, **fields})
        data = [{"embedding": [1.0, 2.0], "index": 0, "object": "embedding"}]
        return CreateEmbeddingResponse.model_validate(
            {"data": data, "model": model, "object": "list", "usage": {"prompt_tokens": 1, "total_tokens": 1}}
        )


@asynccontextmanager
async def bridge(tmp_path: Path, library: Library, text: str = FILE) -> AsyncIterator[httpx.AsyncClient]:
    (tmp_path / "bridge.yaml").write_text(text)
    platform = platform_settings(tmp_path, config_dir=tmp_path, admin_key="")
    secret = secret_for(platform.service_secret.get_secret_value(), "bridge")

    def connect(spec: ProviderSpec, key: str | None) -> Any:
        assert spec.sdk == "cohere"
        assert key == KEY
        return library

    app = create_app(lambda: open_deps(platform, Settings(_env_file=None, secret=secret), connect))
    async with asgi_client(app) as client:
        client.headers.update(service_headers("bridge"))
        yield client


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRIDGE_TEST_KEY", KEY)


def _events(answer: httpx.Response) -> list[Any]:
    return [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]


async def test_whole_answers_streams_and_embeddings_have_openais_shape(tmp_path: Path) -> None:
    library = Library()
    async with bridge(tmp_path, library) as client:
        body = {
            "model": "cohere/command", "messages": MESSAGES, "max_completion_tokens": 5, "user": "u", "safety_mode": "OFF", "seed": None,
        }  # fmt: skip
        whole = (await client.post("/v1/chat/completions", json=body)).json()
        assert ChatCompletion.model_validate(whole).choices[0].message.content == "Oslo"
        assert whole["choices"][0]["message"]["reasoning_content"] == "I know it."
        assert (whole["model"], whole["usage"]) == ("command", USAGE)
        assert whole["created"] > 1_700_000_000
        assert library.asked[0] == {
            "model": "command", "messages": MESSAGES, "max_tokens": 5, "safety_mode": "OFF", "timeout": 0.2,
        }  # fmt: skip

        streamed = await client.post(
            "/v1/chat/completions", json=body | {"stream": True, "stream_options": {"include_usage": True}}
        )
        chunks = [ChatCompletionChunk.model_validate(one) for one in _events(streamed)]
        assert "".join(one.choices[0].delta.content or "" for one in chunks if one.choices) == "Oslo"
        assert len({one.id for one in chunks}) == 1
        assert (chunks[-1].choices, chunks[-1].usage and chunks[-1].usage.prompt_tokens) == ([], 70)
        assert streamed.text.endswith("data: [DONE]\n\n")
        assert library.closed == 1
        plain = await client.post("/v1/chat/completions", json=body | {"stream": True})
        assert "usage" not in plain.text

        vectors = await client.post(
            "/v1/embeddings", json={"model": "cohere/embed", "input": ["a"], "encoding_format": "float"}
        )
        assert CreateEmbeddingResponse.model_validate(vectors.json()).data[0].embedding == [1.0, 2.0]
        assert library.asked[-1] == {"model": "embed", "inputs": ["a"], "encoding_format": "float"}


@pytest.mark.parametrize(
    ("failing", "status", "code", "retry_after"),
    [
        (RateLimitError("x", 429, SdkError("slow down")), 429, "rate_limit_exceeded", "7"),
        (AnyLLMError("x", 503, SdkError("busy", {"Retry-After": "3"})), 503, None, "3"),
        (ContextLengthExceededError("too long"), 400, "context_length_exceeded", None),
        (AnyLLMError("x", None, ValueError("a tool message must follow")), 400, None, None),
        (AnyLLMError("x", None, ConnectionError("refused")), 502, None, None),
        (
            AnyLLMError("x", None, TypeError("chat() got an unexpected keyword argument 'seed'")),
            400,
            "invalid_value",
            None,
        ),
    ],
)
async def test_a_failure_keeps_status_and_retry_after_and_tells_no_key(
    tmp_path: Path, failing: AnyLLMError, status: int, code: str | None, retry_after: str | None
) -> None:
    failing.message += f" for {KEY}"
    async with bridge(tmp_path, Library(failing)) as client:
        for stream in (False, True):
            body = {"model": "cohere/command", "messages": MESSAGES, "stream": stream}
            answer = await client.post("/v1/chat/completions", json=body)
            error = answer.json()["error"]
            assert (answer.status_code, error["code"], answer.headers.get("retry-after")) == (status, code, retry_after)
            assert KEY not in answer.text
            assert "headers" not in error["message"]


async def test_a_provider_that_is_silent_is_given_up(tmp_path: Path) -> None:
    async with bridge(tmp_path, Library(stall_s=30)) as client:
        answer = await client.post("/v1/chat/completions", json={"model": "cohere/command", "messages": MESSAGES})
        assert (answer.status_code, answer.json()["error"]["code"]) == (504, "timeout")


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"model": "command"}, "model"),
        ({"messages": []}, "messages"),
        ({"base_url": "http://elsewhere"}, "base_url"),
        ({"request_options": {"additional_headers": {}}}, "request_options"),
        ({"stream": "yes"}, "stream"),
    ],
)
async def test_what_has_no_counterpart_is_refused_by_name(tmp_path: Path, change: dict[str, Any], param: str) -> None:
    library = Library()
    async with bridge(tmp_path, library) as client:
        body = {"model": "cohere/command", "messages": MESSAGES} | change
        answer = await client.post("/v1/chat/completions", json=body)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
        assert library.asked == []


async def test_only_services_and_the_administrator_are_served(tmp_path: Path) -> None:
    async with bridge(tmp_path, Library()) as client:
        body = {"model": "cohere/command", "messages": MESSAGES}
        for headers in (
            {"authorization": ""},
            {"authorization": "Bearer sk-1"},
            service_headers("retrieval"),
            admin_headers(),
        ):
            assert (await client.post("/v1/chat/completions", json=body, headers=headers)).status_code == 401
        assert (await client.post("/v1/chat/completions", json=body)).status_code == 200
        assert (await client.get("/v1/providers")).json() == {"data": [{"id": "cohere", "sdk": "cohere"}]}
        for model in ("spare/command", "nobody/command"):
            assert (await client.post("/v1/chat/completions", json=body | {"model": model})).status_code == 404


async def test_a_missing_key_is_named_and_comes_without_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BRIDGE_TEST_KEY")
    async with bridge(tmp_path, Library()) as client:
        body = {"model": "cohere/command", "messages": MESSAGES}
        answer = await client.post("/v1/chat/completions", json=body)
        assert (answer.status_code, answer.json()["code"]) == (503, "provider_not_configured")
        assert "BRIDGE_TEST_KEY" in answer.json()["detail"]
        monkeypatch.setenv("BRIDGE_TEST_KEY", KEY)
        assert (await client.post("/v1/chat/completions", json=body)).status_code == 200


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("providers: [{id: a, sdk: cohere, extra_fields: [base_url]}]", "extra_fields cannot hold base_url"),
        ("providers: [{id: a, sdk: cohere, options: {api_key: k}}]", "options cannot hold api_key"),
        ("providers: [{id: a, sdk: cohere}, {id: a, sdk: cohere}]", "stand there twice: a"),
        ("providers: [{id: a, sdk: cohere, key: {}}]", "a key needs 'env'"),
    ],
)
def test_mistakes_of_the_file_are_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "bridge.yaml").write_text(text)
    with pytest.raises(ConfigError, match=said):
        load_providers(platform_settings(tmp_path, config_dir=tmp_path), Settings(_env_file=None))


async def test_the_bridge_starts_with_no_secret_but_its_own(tmp_path: Path) -> None:
    platform = BridgePlatform(_env_file=None, env="production", config_dir=tmp_path)
    (tmp_path / "bridge.yaml").write_text("providers: []")
    with pytest.raises(ConfigError, match="SLUICE_BRIDGE_SECRET is missing"):
        async with open_deps(platform, Settings(_env_file=None)):
            pass
    with pytest.raises(ValidationError, match="too short"):
        Settings(_env_file=None, secret="short")
    everyone = ServiceTokens("s" * 32, "gateway")
    async with open_deps(platform, Settings(_env_file=None, secret=secret_for("s" * 32, "bridge"))) as deps:
        assert deps.tokens.verify(everyone.mint("bridge", tenant="a", subject="x"), "bridge").tenant == "a"
        for audience in ("gateway", "retrieval", "router"):
            with pytest.raises(Unauthorized):
                deps.tokens.mint(audience, tenant="a", subject="x")
            with pytest.raises(Unauthorized):
                deps.tokens.verify(everyone.mint(audience, tenant="a", subject="x"), audience)
        # What the bridge could sign with its own secret opens no other door, also when it writes another name into the token.
        forged = ServiceTokens(secret_for("s" * 32, "bridge"), "bridge").mint("retrieval", tenant="a", subject="x")
        with pytest.raises(Unauthorized):
            everyone.verify(forged, "retrieval")
