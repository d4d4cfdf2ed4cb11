"""Conversations that go on by id on a real llama.cpp, translated and through its own Responses API."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from gateway_parts import Parts, deployment, model, serving, snapshot
from tests.integration.databases import set_up_schema
from tests.integration.inference.inference_process import Inference, smollm2

from sluice.clock import SystemClock
from sluice.db import open_database
from sluice.telemetry.metrics import MetricRegistry
from sluice.testing import free_port, platform_settings
from sluice_gateway.responses.conversation_store import ConversationStore
from sluice_gateway.responses.keeper import ResponseKeeper
from sluice_gateway.responses.store import ResponseStore
from sluice_gateway.usage.journal import Journal
from sluice_gateway.wiring import MIGRATIONS

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_port()
    service = Inference(tmp_path_factory.mktemp("engine"), [smollm2(port)]).start()
    yield f"http://127.0.0.1:{port}/v1"
    service.process.stop()


async def test_the_engine_reads_what_was_said_before(engine: str, tmp_path: Path) -> None:
    platform = platform_settings(tmp_path)
    await set_up_schema(platform, "gateway", MIGRATIONS)
    database, journal = open_database(platform, "gateway"), Journal(tmp_path / "journal", name="responses")
    journal.open()
    keeper = ResponseKeeper(
        journal, ResponseStore(database), ConversationStore(database), SystemClock(), MetricRegistry(),
        keep_s=86_400, most_bytes=10**6, most_chain_bytes=10**6,
    )  # fmt: skip
    writing = asyncio.create_task(keeper.run())
    place = {"upstream_model": "smollm2", "timeout_s": 60, "provider": "llamacpp"}
    routed = snapshot(
        model("translated", deployment("d1", engine, **place)),
        model("native", deployment("d2", engine, **place, responses="native")),
    )
    async with (
        serving(Parts(responses=keeper), routed) as gateway,
        openai.AsyncOpenAI(api_key="sk-test", base_url=gateway.url + "/v1", max_retries=0) as api,
    ):
        for name, other in (("translated", "native"), ("native", "translated")):
            first = await api.responses.create(model=name, input="My name is Ann.", max_output_tokens=12)
            assert first.store is True
            asked = {"input": "What is my name?", "previous_response_id": first.id}
            for again in (name, other):
                second = await api.responses.create(model=again, max_output_tokens=12, **asked)  # type: ignore[call-overload]  # the fields vary
                alone = await api.responses.create(model=again, max_output_tokens=12, input=asked["input"])
                assert second.output_text
                assert second.usage.input_tokens > alone.usage.input_tokens + 8  # type: ignore[union-attr]  # a whole answer has counts
                counted = await api.responses.input_tokens.count(model=again, **asked)  # type: ignore[arg-type]  # the fields vary
                assert abs(counted.input_tokens - second.usage.input_tokens) <= 8
                events = [
                    event
                    async for event in await api.responses.create(
                        model=again, max_output_tokens=12, stream=True, previous_response_id=second.id, input="Sure?"
                    )
                ]
                last = events[-1].response
                kept = await keeper.get("tenant-a", last.id)
                assert kept is not None
                assert kept.previous_id == second.id
    writing.cancel()
    await database.close()
    journal.close()
