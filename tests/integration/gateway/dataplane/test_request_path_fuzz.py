"""Schemathesis against the request path of a real process: every public path, media and forms included, with models that answer.

A longer run: SLUICE_FUZZ_EXAMPLES=500 pytest tests/integration/gateway/dataplane/test_request_path_fuzz.py
"""

import asyncio
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
import schemathesis
from tests.integration.fuzzing import assert_answers_as_declared
from tests.simulators.media_provider import MediaProvider
from tests.simulators.openai_provider import Provider

from sluice.contracts.routing import SNAPSHOT_KEY, Deployment, Model, ModelKind, RoutingSnapshot
from sluice.testing import ServiceProcess, admin_headers, environment_of, free_port, platform_settings

EXAMPLES = int(os.environ.get("SLUICE_FUZZ_EXAMPLES", "3"))
pytestmark = [pytest.mark.integration, pytest.mark.timeout(120 + 12 * EXAMPLES)]
CONFIG = Path(__file__).parents[4] / "deploy" / "config"
KINDS: tuple[ModelKind, ...] = ("chat", "embedding", "rerank", "image", "speech", "transcription")
MODELS = {
    "/v1/embeddings": "embedding",
    "/v1/rerank": "rerank",
    "/v2/rerank": "rerank",
    "/v1/images/generations": "image",
    "/v1/images/edits": "image",
    "/v1/images/variations": "image",
    "/v1/audio/speech": "speech",
    "/v1/audio/transcriptions": "transcription",
    "/v1/audio/translations": "transcription",
}
PATHS = frozenset(
    {*MODELS, "/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages", "/v1/messages/count_tokens"}
    | {"/v1/moderations", "/v1/models", "/v1/models/{model}", "/v1/responses/input_tokens"}
    | {f"/v1/responses/{{response_id}}{what}" for what in ("", "/input_items", "/cancel")}
    | {f"/v1/conversations{what}" for what in ("", "/{conversation_id}", "/{conversation_id}/items")}
    | {"/v1/conversations/{conversation_id}/items/{item_id}"}
)

HELLO = [{"role": "user", "content": "hello"}]
PLAIN: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"model": "", "messages": HELLO},
    "/v1/completions": {"model": "", "prompt": "hello"},
    "/v1/responses": {"model": "", "input": "hello"},
    "/v1/messages": {"model": "", "messages": HELLO, "max_tokens": 5},
    "/v1/embeddings": {"model": "", "input": "hello"},
    "/v1/rerank": {"model": "", "query": "hello", "documents": ["a", "b"]},
    "/v2/rerank": {"model": "", "query": "hello", "documents": ["a", "b"]},
    "/v1/images/generations": {"model": "", "prompt": "a fox"},
    "/v1/moderations": {"model": "", "input": "hello"},
}


@pytest.fixture(scope="module")
def providers() -> Iterator[tuple[str, str]]:
    """The addresses of a provider of texts and one of media, which run in a thread of their own."""
    loop, ready, urls, stop = asyncio.new_event_loop(), threading.Event(), [], asyncio.Event()

    async def serve() -> None:
        async with Provider() as texts, MediaProvider() as media:
            urls.extend((texts.base_url, media.base_url))
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert ready.wait(60)
    yield urls[0], urls[1]
    loop.call_soon_threadsafe(stop.set)
    thread.join(10)
    loop.close()


@pytest.fixture(scope="module")
def base(providers: tuple[str, str], valkey: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("path")
    port, guard_port = free_port(), free_port()
    models = tuple(
        Model(
            name=kind,
            kind=kind,
            deployments=(Deployment(id=kind, base_url=providers[kind in ("image", "speech", "transcription")], upstream_model=kind),),
        )
        for kind in KINDS
    )  # fmt: skip
    snapshot = RoutingSnapshot(version=1, published_at=1.0, models=models)
    with redis.Redis.from_url(valkey) as direct:
        direct.set(SNAPSHOT_KEY, snapshot.model_dump_json())
    platform = platform_settings(
        folder,
        redis_url=valkey,
        config_dir=CONFIG,
        router_url="http://127.0.0.1:9",
        guardrail_url=f"http://127.0.0.1:{guard_port}",
    )
    environment = {**environment_of(platform), "SLUICE_GATEWAY_PORT": str(port), "SLUICE_GATEWAY_RETRIES": "0"}
    environment["SLUICE_GUARDRAIL_PORT"] = str(guard_port)
    with (
        ServiceProcess("sluice_guardrail", ["serve"], environment, folder / "guard.log", cwd=folder) as guard,
        ServiceProcess("sluice_gateway", ["serve"], environment, folder / "log", cwd=folder) as process,
    ):
        guard.wait_ready(f"http://127.0.0.1:{guard_port}/readyz")
        process.wait_ready(f"http://127.0.0.1:{port}/readyz")
        yield f"http://127.0.0.1:{port}"
    with redis.Redis.from_url(valkey) as direct:
        direct.delete(SNAPSHOT_KEY)


def test_every_public_path_answers_as_declared(base: str) -> None:
    made = httpx.post(f"{base}/admin/keys", json={"name": "k"}, headers=admin_headers(), timeout=60).json()
    met: dict[str, set[int]] = {}

    begun: set[str] = set()
    asked = {"model": "chat", "input": "hello"}
    credential = {"authorization": f"Bearer {made['key']}"}
    kept = httpx.post(f"{base}/v1/responses", json=asked, headers=credential, timeout=60).json()["id"]
    talk = httpx.post(f"{base}/v1/conversations", json={}, headers=credential, timeout=60).json()["id"]

    def named(case: schemathesis.Case) -> None:
        if "{response_id}" in case.operation.path and case.operation.method != "delete":
            case.path_parameters["response_id"] = kept
        if "{conversation_id}" in case.operation.path and case.operation.method != "delete":
            case.path_parameters["conversation_id"] = talk
        # Most made-up requests name no model; these do, so that they come further than that, and the first one of a path is a plain one.
        body: Any = case.body
        path = case.operation.path
        if isinstance(body, dict) and "model" in body:
            if path in PLAIN and path not in begun:
                begun.add(path)
                body.clear()
                body.update(PLAIN[path])
            body["model"] = MODELS.get(path, "chat")

    def answered(path: str, status: int) -> None:
        met.setdefault(path, set()).add(status)

    assert_answers_as_declared(
        base,
        lambda path: path in PATHS,
        credential,
        least=len(PATHS),
        examples=EXAMPLES,
        change=named,
        answered=answered,
    )
    served = {path for path, statuses in met.items() if 200 in statuses}
    assert served >= {*PLAIN, "/v1/models"}, met
