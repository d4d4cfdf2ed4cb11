"""The official `anthropic` client's own batch calls, unmodified, through a real gateway and worker."""

import asyncio
from pathlib import Path
from typing import Any

import anthropic
import httpx
import pytest
from anthropic.types.messages import MessageBatch
from tests.integration.gateway.batches.batch_platform import batch_platform

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


def request(number: int, **params: Any) -> Any:
    asked = {"model": "mock", "max_tokens": 50, "messages": [{"role": "user", "content": f"q{number}"}], **params}
    return {"custom_id": f"c{number}", "params": asked}


async def ended(client: anthropic.AsyncAnthropic, batch: MessageBatch) -> MessageBatch:
    async with asyncio.timeout(60):
        while (found := await client.messages.batches.retrieve(batch.id)).processing_status != "ended":
            await asyncio.sleep(0.05)
    return found


async def test_batches_of_messages(tmp_path: Path, valkey: str) -> None:
    async with batch_platform(tmp_path, valkey) as run:
        key, other = run.key()["key"], run.key("other")["key"]
        async with (
            anthropic.AsyncAnthropic(base_url=run.url, api_key=key, max_retries=0) as client,
            anthropic.AsyncAnthropic(base_url=run.url, api_key=other, max_retries=0) as stranger,
        ):
            batches = client.messages.batches
            with pytest.raises(anthropic.BadRequestError, match=r"requests\.1: The `custom_id` 'c1'"):
                await batches.create(requests=[request(1), request(1)])
            cancelled = await batches.create(requests=[request(9)])
            assert (await batches.cancel(cancelled.id)).processing_status == "canceling"
            made = await batches.create(requests=[request(1), request(2), request(3, model="nope")])
            assert (made.type, made.processing_status, made.request_counts.processing) == (
                "message_batch",
                "in_progress",
                3,
            )
            with pytest.raises(anthropic.AnthropicError, match="results"):
                await batches.results(made.id)
            with pytest.raises(anthropic.ConflictError, match="Cancel it first"):
                await batches.delete(made.id)
            run.worker()
            done = await ended(client, made)
            assert (done.request_counts.succeeded, done.request_counts.errored) == (2, 1)
            assert done.ended_at is not None
            assert made.created_at <= done.ended_at <= done.expires_at
            results = {one.custom_id: one.result async for one in await batches.results(made.id)}
            assert list(results) == ["c1", "c2", "c3"]
            first, last = results["c1"], results["c3"]
            assert first.type == "succeeded"
            assert first.message.content[0].type == "text"
            assert first.message.usage.output_tokens > 0
            assert last.type == "errored"
            assert last.error.error.type == "not_found_error"
            gone = await ended(client, cancelled)
            assert gone.request_counts.canceled == 1
            assert [one.result.type async for one in await batches.results(gone.id)] == ["canceled"]
            listed = [one.id async for one in batches.list(limit=1)]
            assert listed == [made.id, cancelled.id]
            before = await batches.list(before_id=cancelled.id)
            assert [one.id for one in before.data] == [made.id]
            apart = stranger.messages.batches
            for call in (apart.retrieve, apart.cancel, apart.delete):
                with pytest.raises(anthropic.NotFoundError):
                    await call(made.id)
            with pytest.raises(anthropic.ConflictError):
                await batches.cancel(made.id)
            assert (await batches.delete(made.id)).type == "message_batch_deleted"
            for call in (batches.retrieve, batches.results, batches.delete):
                with pytest.raises(anthropic.NotFoundError):
                    await call(made.id)
            assert [one.id async for one in batches.list()] == [cancelled.id]
            headers = {"authorization": f"Bearer {key}"}
            async with httpx.AsyncClient(headers=headers, timeout=60) as plain:
                left = (await plain.get(f"{run.url}/v1/files")).json()["data"]
            assert len(left) == 2, "the requests of the other batch, and what became of them"
        async with anthropic.AsyncAnthropic(base_url=run.url, api_key="sk-slc-wrong", max_retries=0) as nobody:
            with pytest.raises(anthropic.AuthenticationError):
                await nobody.messages.batches.list()
