"""Bedrock with IAM credentials: each request is signed, and the simulator checks the signature as AWS publishes it."""

from collections.abc import AsyncIterator

import httpx
import openai
import pytest
from bedrock_provider import ACCESS_KEY, REGION, SECRET_KEY, BedrockProvider
from foreign_provider import Behaviour
from gateway_parts import Parts, deployment, model, serving, snapshot

from sluice.contracts.routing import DeploymentAuth, RoutingSnapshot
from sluice_gateway.dataplane.deps import Options

VARIABLE = "BEDROCK_KEYS_OF_A_TEST"
TEXT = "A fox is a small wild dog."
BODY = {"model": "m", "messages": [{"role": "user", "content": "What is a fox? äöü"}]}


@pytest.fixture
async def bedrock() -> AsyncIterator[BedrockProvider]:
    async with BedrockProvider() as provider:
        provider.default = Behaviour(text=TEXT)
        yield provider


def routing(provider: BedrockProvider) -> RoutingSnapshot:
    auth = DeploymentAuth(kind="aws", env=VARIABLE, region=REGION)
    place = deployment(
        "d", provider.base_url, provider="bedrock", auth=auth, upstream_model="eu.anthropic.claude-opus-5:0"
    )
    return snapshot(model("m", place, max_output_tokens=500))


async def test_whole_answers_and_streams_are_signed(bedrock: BedrockProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, f"{ACCESS_KEY}:{SECRET_KEY}:a-session-token")
    async with (
        serving(Parts(), routing(bedrock)) as gateway,
        openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key="sk-test", max_retries=0) as api,
    ):
        whole = await api.chat.completions.create(**BODY)  # type: ignore[call-overload]
        async with api.chat.completions.stream(**BODY) as stream:
            streamed = await stream.get_final_completion()
    assert whole.choices[0].message.content == streamed.choices[0].message.content == TEXT
    assert [seen.headers["x-amz-security-token"] for seen in bedrock.seen] == ["a-session-token"] * 2
    assert all(seen.headers["authorization"].startswith("AWS4-HMAC-SHA256 ") for seen in bedrock.seen)
    assert SECRET_KEY not in str([seen.headers for seen in bedrock.seen])


@pytest.mark.parametrize(
    ("keys", "status", "asked"), [("", 503, 0), ("only-one", 503, 0), (f"{ACCESS_KEY}:wrong", 502, 1)]
)
async def test_keys_that_are_missing_or_wrong_are_the_administrators_to_mend(
    bedrock: BedrockProvider, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, keys: str, status: int, asked: int
) -> None:  # fmt: skip
    monkeypatch.setenv(VARIABLE, keys)
    async with serving(Parts(options=Options(cooldown_s=0.0)), routing(bedrock)) as gateway:
        answer = await client.post(f"{gateway.url}/v1/chat/completions", json=BODY)
        monkeypatch.setenv(VARIABLE, f"{ACCESS_KEY}:{SECRET_KEY}")
        after = await client.post(f"{gateway.url}/v1/chat/completions", json=BODY)
    assert (answer.status_code, len(bedrock.seen) - 1) == (status, asked)
    assert after.status_code == 200, "new keys need no restart"
    assert "wrong" not in answer.text
