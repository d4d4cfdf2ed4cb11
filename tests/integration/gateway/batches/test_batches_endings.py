"""The ways in which batches end before all lines are answered, and what is kept of them."""

import asyncio
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import aiohttp
import openai
import pytest
from openai_provider import Behaviour, Provider
from tests.integration.gateway.batches.batch_platform import (
    CHAT,
    batch_platform,
    chat_line,
    jsonl,
    lines_of,
    submit,
    upload,
)
from tests.integration.gateway.batches.conftest import Wait

from sluice.auth import ServiceTokens
from sluice.testing import admin_headers
from sluice_gateway.adapters.batch_target import GatewayTarget
from sluice_gateway.domain.batches import NotAnswered, OnBehalf

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]


async def test_cancelled_in_mid_run(tmp_path: Path, valkey: str, database_url: str, wait_for: Wait) -> None:
    async with batch_platform(tmp_path, valkey, database_url, Behaviour(stall_s=0.1)) as run:
        client = run.client()
        run.worker()
        batch = await submit(client, jsonl(*(chat_line(n) for n in range(200))))
        await wait_for(
            client, batch, lambda found: found.request_counts is not None and found.request_counts.completed > 10
        )
        with pytest.raises(openai.ConflictError) as in_use:
            await client.files.delete(batch.input_file_id)
        assert in_use.value.code == "file_in_use"
        # At once: a moment later the batch may be at its end, and is not to be cancelled any more.
        asked, again = await asyncio.gather(*(client.batches.cancel(batch.id) for _ in range(2)))
        assert (asked.status, asked.cancelling_at is not None) == ("cancelling", True)
        assert again.cancelling_at == asked.cancelling_at
        ended = await wait_for(client, batch)
        assert (ended.status, ended.cancelled_at is not None, ended.completed_at) == ("cancelled", True, None)
        counts = ended.request_counts
        assert counts is not None
        assert 10 < counts.completed < 200
        assert counts.completed + counts.failed == counts.total == 200
        output = await lines_of(client, ended.output_file_id)
        errors = await lines_of(client, ended.error_file_id)
        assert len(output) == counts.completed
        assert {line["error"]["code"] for line in errors} == {"batch_cancelled"}
        assert {line["custom_id"] for line in (*output, *errors)} == {f"c{n}" for n in range(200)}
        with pytest.raises(openai.ConflictError):
            await client.batches.cancel(batch.id)
        assert (await client.files.delete(batch.input_file_id)).deleted


async def test_cancelled_before_a_worker_takes_it(tmp_path: Path, valkey: str, wait_for: Wait) -> None:
    async with batch_platform(tmp_path, valkey) as run:
        client = run.client()
        batch = await submit(client, jsonl(chat_line(1)))
        await client.batches.cancel(batch.id)
        run.worker()
        ended = await wait_for(client, batch)
        assert (ended.status, ended.output_file_id, ended.error_file_id) == ("cancelled", None, None)
        assert run.provider.seen == []


async def test_expired_in_mid_run(tmp_path: Path, valkey: str, wait_for: Wait) -> None:
    async with batch_platform(tmp_path, valkey, behaviour=Behaviour(stall_s=0.2)) as run:
        client = run.client()
        batch = await submit(client, jsonl(*(chat_line(n) for n in range(1000))))
        with closing(sqlite3.connect(run.platform.data_dir / "gateway.sqlite", timeout=10)) as connection, connection:
            connection.execute("UPDATE batches SET expires_at = ?", (int(time.time()) + 8,))
        run.worker()
        ended = await wait_for(client, batch)
        assert (ended.status, ended.expired_at is not None) == ("expired", True)
        counts = ended.request_counts
        assert counts is not None
        assert 0 < counts.completed < 1000
        errors = await lines_of(client, ended.error_file_id)
        output = await lines_of(client, ended.output_file_id)
        assert {line["error"]["code"] for line in errors} == {"batch_expired"}
        assert (len(output), len(errors)) == (counts.completed, counts.failed)
        assert len(output) + len(errors) == 1000


async def test_the_key_is_revoked_in_mid_run(tmp_path: Path, valkey: str, wait_for: Wait) -> None:
    async with batch_platform(tmp_path, valkey, behaviour=Behaviour(stall_s=0.1)) as run:
        key = run.key()
        client, other = run.client(key["key"]), run.client()
        run.worker()
        batch = await submit(client, jsonl(*(chat_line(n) for n in range(200))))
        await wait_for(
            other, batch, lambda found: found.request_counts is not None and found.request_counts.completed > 5
        )
        (await other._client.delete(f"{run.url}/admin/keys/{key['id']}", headers=admin_headers())).raise_for_status()
        ended = await wait_for(other, batch)
        assert ended.status == "failed"
        assert ended.errors is not None
        assert ended.errors.data is not None
        assert ended.errors.data[0].code == "api_key_refused"
        output = await lines_of(other, ended.output_file_id)
        errors = await lines_of(other, ended.error_file_id)
        assert len(output) > 5
        assert len(output) + len(errors) == 200
        assert {line["error"]["code"] for line in errors} == {"batch_failed"}


async def test_wrong_lines_are_named_one_by_one(tmp_path: Path, valkey: str, wait_for: Wait) -> None:
    wrong = (
        jsonl(chat_line(1), chat_line(1), chat_line(3, method="GET"), chat_line(4, url="/v1/embeddings")) + b"{nope\n"
    )
    async with batch_platform(tmp_path, valkey) as run:
        client = run.client()
        run.worker()
        ended = await wait_for(client, await submit(client, wrong))
        assert (ended.status, ended.failed_at is not None) == ("failed", True)
        assert ended.errors is not None
        assert ended.errors.data is not None
        assert [(error.line, error.code) for error in ended.errors.data] == [
            (2, "duplicate_custom_id"), (3, "invalid_method"), (4, "invalid_url"), (5, "invalid_json_line"),
        ]  # fmt: skip
        assert "line 1 already" in str(ended.errors.data[0].message)
        assert run.provider.seen == []
        empty = await wait_for(client, await submit(client, b"\n\n"))
        assert empty.errors is not None
        assert empty.errors.data is not None
        assert empty.errors.data[0].code == "empty_file"


async def test_refusals_become_lines_of_the_error_file(tmp_path: Path, valkey: str, wait_for: Wait) -> None:
    async with batch_platform(tmp_path, valkey) as run:
        client = run.client(run.key(models=["mock"])["key"])
        run.worker()
        body = {"model": "other", "messages": [{"role": "user", "content": "x"}]}
        ended = await wait_for(client, await submit(client, jsonl(chat_line(1), chat_line(2, body=body))))
        assert ended.status == "completed"
        assert ended.request_counts is not None
        assert (ended.request_counts.completed, ended.request_counts.failed) == (1, 1)
        (error,) = await lines_of(client, ended.error_file_id)
        assert (error["custom_id"], error["response"]["status_code"]) == ("c2", 403)
        assert error["response"]["body"]["error"]["code"] == "model_not_allowed"


async def test_an_answer_that_is_too_large_is_an_error_line_and_asked_once(
    tmp_path: Path, valkey: str, wait_for: Wait
) -> None:
    huge = Behaviour(body=b" " * (64 * 1024 * 1024 + 1))
    async with batch_platform(tmp_path, valkey, behaviour=huge) as run:
        client = run.client()
        run.worker()
        ended = await wait_for(client, await submit(client, jsonl(chat_line(1))))
        (error,) = await lines_of(client, ended.error_file_id)
        assert (ended.status, error["response"]["body"]["error"]["code"]) == ("completed", "answer_too_large")
        assert run.asked() == {"q1": 1}


async def test_answers_that_are_paid_for_are_kept_whatever_the_quota(
    tmp_path: Path, valkey: str, wait_for: Wait
) -> None:
    content = jsonl(*map(chat_line, range(20)))
    quota = {"SLUICE_GATEWAY_TENANT_FILE_BYTES": str(len(content) + 10)}
    async with batch_platform(tmp_path, valkey, **quota) as run:
        client = run.client()
        run.worker()
        ended = await wait_for(client, await submit(client, content))
        assert ended.request_counts is not None
        assert ended.request_counts.completed == 20
        assert len(await lines_of(client, ended.output_file_id)) == 20
        with pytest.raises(openai.PermissionDeniedError, match="may have") as full:
            await upload(client, b"x")
        assert full.value.code == "storage_quota_exceeded"
        assert ended.output_file_id is not None
        await client.files.delete(ended.output_file_id)
        await upload(client, b"x")


async def test_the_workers_own_limit_of_an_answer_is_told_apart_from_what_breaks() -> None:
    tokens = ServiceTokens("x" * 32, "gateway")
    async with Provider(default=Behaviour(text="x" * 2000)) as provider, aiohttp.ClientSession() as session:
        target = GatewayTarget(session, provider.base_url.removesuffix("/v1"), tokens, max_answer_bytes=1000)
        with pytest.raises(NotAnswered, match="larger than 1000 bytes") as caught:
            await target.ask(OnBehalf("acme", "key_1"), CHAT, jsonl(chat_line(1)["body"]), 60.0)
    assert caught.value.too_large


async def test_what_cannot_be_a_batch_is_refused(tmp_path: Path, valkey: str) -> None:
    async with batch_platform(tmp_path, valkey) as run:
        client, stranger = run.client(), run.client(tenant="rival")
        file_id = await upload(client, jsonl(chat_line(1)))
        training = (await client.files.create(file=("t.jsonl", b"{}"), purpose="fine-tune")).id
        for fields, told in (
            ({"input_file_id": "file_none"}, "there is no file"),
            ({"input_file_id": training}, "purpose `fine-tune`"),
            ({"endpoint": "/v1/audio/speech"}, "batches may ask"),
            ({"completion_window": "1d"}, "completion_window"),
            ({"metadata": {"a": "x" * 600}}, "metadata"),
        ):
            wish = {"input_file_id": file_id, "endpoint": CHAT, "completion_window": "24h", **fields}
            with pytest.raises(openai.BadRequestError, match=told):
                await client.post("/batches", body=wish, cast_to=object)
        with pytest.raises(openai.BadRequestError, match="there is no file"):
            await stranger.batches.create(input_file_id=file_id, endpoint=CHAT, completion_window="24h")


async def test_the_same_idempotency_key_makes_one_batch(tmp_path: Path, valkey: str) -> None:
    async with batch_platform(tmp_path, valkey) as run:
        key = run.key()["key"]
        client, other = run.client(key), run.client()
        file_id = await upload(client, jsonl(chat_line(1)))
        wish = {"input_file_id": file_id, "endpoint": CHAT, "completion_window": "24h"}
        same = {"Idempotency-Key": "night-7"}
        made = [await client.batches.create(**wish, extra_headers=same) for _ in range(2)]  # type: ignore[arg-type]
        assert made[0].id == made[1].id
        with pytest.raises(openai.UnprocessableEntityError) as reused:
            await client.batches.create(**wish, metadata={"a": "b"}, extra_headers=same)  # type: ignore[arg-type]
        assert reused.value.code == "idempotency_key_reused"
        assert (await other.batches.create(**wish, extra_headers=same)).id != made[0].id  # type: ignore[arg-type]
        assert (await client.batches.create(**wish)).id != made[0].id  # type: ignore[arg-type]


async def test_tenants_never_see_each_others_batches(tmp_path: Path, valkey: str) -> None:
    async with batch_platform(tmp_path, valkey) as run:
        ours, theirs = run.client(), run.client(tenant="rival")
        batch = await submit(ours, jsonl(chat_line(1)))
        for question in (theirs.batches.retrieve(batch.id), theirs.batches.cancel(batch.id)):
            with pytest.raises(openai.NotFoundError):
                await question
        assert [found async for found in theirs.batches.list()] == []
        assert (await ours.batches.retrieve(batch.id)).status == "validating"
