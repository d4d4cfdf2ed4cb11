"""Proves the bridge with the real SDK: python -m tests.bench.bridge, after `make bridge` has installed it.

Client (the official openai SDK) → gateway → bridge (its own environment, any-llm and Cohere's SDK) → a simulator of Cohere's v2 API, all as processes
or over sockets. Each line is one claim; the command fails when one does not hold.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import yaml
from openai import APIStatusError, AsyncOpenAI
from tests.bench.errors import BenchError
from tests.bench.front import Front, start_front
from tests.bench.paths import ROOT
from tests.simulators.cohere_provider import CohereProvider, Fault

from sluice.auth import secret_for
from sluice.testing import environment_of, free_port, platform_settings, wait_until

PYTHON = ROOT / ".venv-bridge/bin/python"
MODEL, VECTORS = "command-a", "embed-v4"
MESSAGES: Any = [{"role": "user", "content": "What is the capital of Norway?"}]
TOOLS: Any = [
    {
        "type": "function",
        "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
    }
]
STALL_S = 3.0


def models(bridge_url: str) -> dict[str, Any]:
    """Return a models.yaml with Cohere's models behind the bridge."""

    def deployment(name: str) -> dict[str, Any]:
        return {
            "provider": "bridge",
            "base_url": f"{bridge_url}/v1",
            "upstream_model": f"cohere/{name}",
            "auth": {"kind": "service", "audience": "bridge"},
            "health": {"path": "/readyz", "at": "host"},
            "timeout_s": 10,
        }

    alone = {"attempts": {"max_attempts": 1}}
    return {
        "models": [
            {
                "name": MODEL,
                "context_tokens": 256_000,
                "policy": "alone",
                "deployments": [deployment("command-a-03-2025")],
            },
            {"name": VECTORS, "kind": "embedding", "policy": "alone", "deployments": [deployment("embed-v4.0")]},
        ],
        "policies": [{"name": "alone", **alone}],
    }


class Proof:
    """The claims, each a coroutine that raises when it does not hold."""

    def __init__(self, front: Front, cohere: CohereProvider) -> None:
        self.cohere = cohere
        self.url = front.urls[0]
        self.client = AsyncOpenAI(base_url=f"{self.url}/v1", api_key=front.key, max_retries=0, timeout=30)

    async def whole(self) -> None:
        """A whole answer, with the provider's own count of tokens."""
        found = await self.client.chat.completions.create(model=MODEL, messages=MESSAGES, max_completion_tokens=20)
        assert found.choices[0].message.content == self.cohere.text, found
        assert found.usage is not None
        assert (found.usage.prompt_tokens, found.usage.completion_tokens) == (70, 8), found.usage
        path, key, body = self.cohere.seen[-1]
        assert (path, key, body["max_tokens"]) == ("/v2/chat", f"Bearer {self.cohere.key}", 20), (path, body)

    async def stream(self) -> None:
        """A stream in Cohere's events comes as OpenAI's chunks, with usage at the end."""
        options: Any = {"include_usage": True}
        chunks = [
            chunk
            async for chunk in await self.client.chat.completions.create(
                model=MODEL, messages=MESSAGES, stream=True, stream_options=options
            )
        ]
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        assert text == self.cohere.text, text
        usage = chunks[-1].usage
        assert usage is not None
        assert (usage.prompt_tokens, usage.completion_tokens) == (70, 8), usage

    async def tools(self) -> None:
        """A tool is called, whole and streamed."""
        whole = await self.client.chat.completions.create(model=MODEL, messages=MESSAGES, tools=TOOLS)
        calls = whole.choices[0].message.tool_calls
        assert calls, whole
        assert calls[0].function.arguments == '{"city":"Oslo"}', calls  # type: ignore[union-attr]
        parts = [
            call.function.arguments or ""
            async for chunk in await self.client.chat.completions.create(
                model=MODEL, messages=MESSAGES, tools=TOOLS, stream=True
            )
            for choice in chunk.choices
            for call in choice.delta.tool_calls or ()
            if call.function is not None
        ]
        assert "".join(parts) == '{"city":"Oslo"}', parts

    async def messages(self) -> None:
        """Anthropic's API works on it too."""
        body = {"model": MODEL, "max_tokens": 20, "messages": MESSAGES}
        headers = {"x-api-key": self.client.api_key}
        async with httpx.AsyncClient(trust_env=False) as client:
            found = (await client.post(f"{self.url}/v1/messages", json=body, headers=headers)).json()
        assert found["content"][0]["text"] == self.cohere.text, found
        assert found["usage"]["output_tokens"] == 8, found

    async def embeddings(self) -> None:
        """Vectors, as numbers and as the base64 that the openai SDK asks for by default."""
        found = await self.client.embeddings.create(model=VECTORS, input=["a", "bb"])
        assert [one.embedding for one in found.data] == [[1.0, 0.5, -1.0], [2.0, 0.5, -1.0]], found

    async def limits(self) -> None:
        """A 429 reaches the client with its status and Retry-After."""
        self.cohere.next(Fault(429, "slow down", retry_after="7"))
        status, headers, _ = await self._refused()
        assert (status, headers.get("retry-after")) == (429, "7"), (status, headers)

    async def refusals(self) -> None:
        """A 400 of the provider, and a field that it has not, are a 400 with the reason."""
        self.cohere.next(Fault(400, "temperature must be at most 1"))
        status, _, text = await self._refused()
        assert status == 400, text
        assert "temperature must be at most 1" in text, text
        status, _, text = await self._refused(logit_bias={"1": 2})
        assert (status, "logit_bias" in text) == (400, True), (status, text)

    async def silence(self) -> None:
        """A provider that says nothing is given up after its timeout_s."""
        self.cohere.next(Fault(stall_s=60))
        began = time.monotonic()
        status, _, text = await self._refused()
        assert status in (502, 504), (status, text)
        assert time.monotonic() - began < STALL_S + 2

    async def leaving(self) -> None:
        """The provider's stream ends within a second of the client's leaving."""
        self.cohere.next(Fault(hold_after=4))
        before = self.cohere.left
        stream = await self.client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
        async for _ in stream:
            break
        await stream.close()
        began = time.monotonic()
        while self.cohere.left == before:
            assert time.monotonic() - began < 1, "the provider's stream goes on"
            await asyncio.sleep(0.01)

    async def _refused(self, **more: Any) -> tuple[int, Any, str]:
        try:
            found = await self.client.chat.completions.create(model=MODEL, messages=MESSAGES, **more)
        except APIStatusError as exc:
            told = exc.response
        else:
            raise AssertionError(f"it was answered: {found}")
        assert self.cohere.key not in told.text
        return told.status_code, told.headers, told.text

    def claims(self) -> list[Callable[[], Awaitable[None]]]:
        """Return all, in order."""
        # The 429 is the last: its deployment is left alone for as long as it asked for.
        return [
            *(self.whole, self.stream, self.tools, self.messages, self.embeddings),
            *(self.refusals, self.leaving, self.silence, self.limits),
        ]


def _start_bridge(stack: ExitStack, folder: Path, cohere: CohereProvider) -> tuple[str, float]:
    folder.mkdir()
    spec = {
        "id": "cohere",
        "sdk": "cohere",
        "key": {"env": "COHERE_API_KEY"},
        "base_url": cohere.base_url,
        "timeout_s": STALL_S,
    }
    (folder / "bridge.yaml").write_text(yaml.safe_dump({"providers": [spec]}))
    port = free_port()
    platform = platform_settings(folder, config_dir=folder)
    own = secret_for(platform.service_secret.get_secret_value(), "bridge")
    environment = environment_of(platform_settings(folder, config_dir=folder, admin_key="", service_secret=""))
    environment |= {"SLUICE_BRIDGE_SECRET": own}
    environment |= {"SLUICE_BRIDGE_PORT": str(port), "COHERE_API_KEY": cohere.key}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SLUICE_")}
    log = stack.enter_context((folder / "bridge.log").open("wb"))
    began = time.monotonic()
    process = subprocess.Popen(
        [str(PYTHON), "-m", "sluice_bridge", "serve"], env=inherited | environment, stdout=log, stderr=log, cwd=folder
    )
    stack.callback(process.wait)
    stack.callback(process.terminate)
    url = f"http://127.0.0.1:{port}"
    wait_until(
        lambda: httpx.get(f"{url}/readyz", trust_env=False).status_code == httpx.codes.OK,
        seconds=120,
        what="the bridge",
    )
    return url, time.monotonic() - began


async def run(folder: Path) -> int:
    """Start everything, check each claim, and return how many do not hold."""
    failed = 0
    with ExitStack() as stack:
        async with CohereProvider() as cohere:
            url, seconds = await asyncio.to_thread(_start_bridge, stack, folder / "bridge", cohere)
            print(f"the bridge is ready after {seconds:.1f} s")
            front = await asyncio.to_thread(start_front, stack, folder, models(url))
            proof = Proof(front, cohere)
            async with httpx.AsyncClient(trust_env=False) as client:
                headers = {"authorization": f"Bearer {front.key}"}
                deadline = time.monotonic() + 20
                while MODEL not in (await client.get(f"{front.urls[0]}/v1/models", headers=headers)).text:
                    if time.monotonic() > deadline:
                        raise BenchError("the gateway does not know the models of the bridge")
                    await asyncio.sleep(0.1)
            for claim in proof.claims():
                try:
                    await claim()
                    print(f"ok    {claim.__doc__}")
                except (AssertionError, APIStatusError) as exc:
                    failed += 1
                    print(f"FAIL  {claim.__doc__} {exc}")
            await proof.client.close()
    return failed


def main() -> None:
    """Run it."""
    if not PYTHON.exists():
        raise BenchError("The bridge is not installed: make bridge")
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(1 if asyncio.run(run(Path(folder))) else 0)


if __name__ == "__main__":
    main()
