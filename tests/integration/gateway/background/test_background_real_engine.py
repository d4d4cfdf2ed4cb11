"""Responses in the background on a real llama.cpp, translated and through its own Responses API."""

from pathlib import Path

import pytest
from gateway_parts import deployment, model, snapshot
from tests.integration.gateway.background.polling import ended, usage
from tests.integration.gateway.batches.batch_platform import batch_platform
from tests.integration.inference.inference_process import Inference, smollm2

from sluice.testing import free_port

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]


async def test_answers_of_a_real_model(tmp_path: Path, valkey: str) -> None:
    port = free_port()
    service = Inference(tmp_path, [smollm2(port)]).start()
    place = {"upstream_model": "smollm2", "timeout_s": 60, "provider": "llamacpp"}
    url = f"http://127.0.0.1:{port}/v1"
    routed = snapshot(
        model("translated", deployment("d1", url, **place)),
        model("native", deployment("d2", url, **place, responses="native")),
    )
    try:
        async with batch_platform(tmp_path, valkey, routed=lambda _: routed) as run:
            client = run.client()
            run.worker()
            tokens = 0
            for name in ("translated", "native"):
                begun = await client.responses.create(
                    model=name, input="My name is Ann.", max_output_tokens=12, background=True
                )
                first = await ended(client, begun.id)
                assert first.status in ("completed", "incomplete")
                assert first.output_text
                events = [
                    event
                    async for event in await client.responses.create(
                        model=name,
                        input="What is my name?",
                        max_output_tokens=12,
                        previous_response_id=first.id,
                        background=True,
                        stream=True,
                    )
                ]
                last = events[-1]
                assert last.type in ("response.completed", "response.incomplete")
                assert last.response.previous_response_id == first.id
                assert first.usage is not None
                assert last.response.usage is not None
                assert last.response.usage.input_tokens > first.usage.input_tokens
                tokens += first.usage.total_tokens + last.response.usage.total_tokens
            records = await usage(run, 4)
            assert sum(row["total_tokens"] for row in records) == tokens, "what is answered is what is counted"
    finally:
        service.process.stop()
