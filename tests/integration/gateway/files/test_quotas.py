"""How much a tenant may keep and have waiting: at the edge, side by side, freed again, and as the administrator sees it."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from sqlalchemy import update
from tests.integration.gateway.control_plane import Gateway, running_gateway
from tests.integration.gateway.files.test_files_api import key_of

from sluice.db import open_database
from sluice.settings import PlatformSettings
from sluice.testing import admin_headers
from sluice_gateway.batches.book import SqlBatchBook
from sluice_gateway.batches.sweep import Sweep
from sluice_gateway.domain.batches import BatchKey
from sluice_gateway.files.tables import FileRow

pytestmark = pytest.mark.integration
LINE = b'{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{"model":"mock","messages":[]}}\n'


async def put(gateway: Gateway, key: dict[str, str], size: int, purpose: str = "user_data") -> httpx.Response:
    file = {"file": ("x", LINE if purpose == "batch" else b"x" * size)}
    return await gateway.client.post("/v1/files", headers=key, data={"purpose": purpose}, files=file)


async def put_without_a_length(gateway: Gateway, key: dict[str, str], size: int) -> httpx.Response:
    async def body() -> AsyncIterator[bytes]:
        yield b'--B\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nuser_data\r\n--B\r\n'
        yield b'Content-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
        for _ in range(10):
            yield b"x" * (size // 10)
            await asyncio.sleep(0)
        yield b"\r\n--B--\r\n"

    headers = {**key, "content-type": "multipart/form-data; boundary=B"}
    return await gateway.client.post("/v1/files", headers=headers, content=body())


def refusal(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


async def quota(gateway: Gateway, name: str = "file_bytes", **query: Any) -> dict[str, Any]:
    asked = {"quota": name, **query}
    found = (await gateway.client.get("/admin/quotas", params=asked, headers=admin_headers())).json()["data"]
    return {one["tenant"]: (one["used"], one["limit"], one["own_limit"], round(one["share"], 3)) for one in found}


async def test_files_have_room_to_the_last_byte_and_no_further(platform: PlatformSettings) -> None:
    async with running_gateway(platform, tenant_file_bytes=100_000) as gateway:
        key, other = await key_of(gateway), await key_of(gateway, "other")
        first = (await put(gateway, key, 60_000)).json()
        assert (await put(gateway, key, 40_001)).status_code == 403
        for sent in (put, put_without_a_length):
            made = await sent(gateway, key, 40_000)
            assert made.status_code == 200, made.text
            full = await sent(gateway, key, 10)
            assert refusal(full) == (403, "storage_quota_exceeded")
            assert "may have 100000 bytes together and have 100000" in full.json()["error"]["message"]
            assert (await gateway.client.delete(f"/v1/files/{made.json()['id']}", headers=key)).status_code == 200
        assert (await put(gateway, other, 100_000)).status_code == 200, "each tenant has its own"
        assert await quota(gateway) == {"other": (100_000, 100_000, False, 1.0), "acme": (60_000, 100_000, False, 0.6)}
        assert await quota(gateway, min_share=0.9) == {"other": (100_000, 100_000, False, 1.0)}
        kept = sorted(path.name for path in (platform.data_dir / "gateway" / "files").iterdir())
        assert len(kept) == 2
        assert first["id"] in kept
        text = (await gateway.client.get("/metrics")).text
        assert 'sluice_gateway_quota_refusals_total{quota="file_bytes"} 3.0' in text


async def test_what_expires_makes_room_with_the_sweep(platform: PlatformSettings) -> None:
    async with running_gateway(platform, tenant_file_bytes=1000) as gateway:
        key = await key_of(gateway)
        assert (await put(gateway, key, 900)).status_code == 200
        assert (await put(gateway, key, 200)).status_code == 403
        database = open_database(platform, "gateway")
        async with database.write() as session:
            await session.execute(update(FileRow).values(expires_at=1))
        await database.close()
        assert await gateway.deps.files.sweep() == 1
        assert (await put(gateway, key, 200)).status_code == 200


@pytest.mark.parametrize("sent", [put, put_without_a_length])
async def test_uploads_side_by_side_take_the_last_room_once(sent: Any, platform: PlatformSettings) -> None:
    async with running_gateway(platform, tenant_file_bytes=700_000) as gateway:
        key = await key_of(gateway)
        answers = await asyncio.gather(*(sent(gateway, key, 200_000) for _ in range(8)))
        assert Counter(answer.status_code for answer in answers) == {200: 3, 403: 5}
        assert await quota(gateway) == {"acme": (600_000, 700_000, False, 0.857)}
        folder = platform.data_dir / "gateway" / "files"
        assert sorted(path.stat().st_size for path in folder.iterdir()) == [200_000] * 3


async def test_an_organisation_may_have_more_or_less_than_others(gateway: Gateway) -> None:
    key, admin = await key_of(gateway), admin_headers()
    (own,) = (await gateway.client.get("/admin/organizations", headers=admin)).json()["data"]
    path = f"/admin/organizations/{own['id']}"

    async def limited(**limits: int | None) -> None:
        changed = await gateway.client.patch(path, json={"limits": limits}, headers=admin)
        assert changed.status_code == 200, changed.text
        assert {name: changed.json()["limits"][name] for name in limits} == limits

    await limited(file_bytes=5_000_000_000, requests_per_minute=600)
    assert (await put(gateway, key, 5000)).status_code == 200
    assert await quota(gateway) == {"acme": (5000, 5_000_000_000, True, 0.0)}
    await limited(file_bytes=0)
    assert refusal(await put(gateway, key, 1)) == (403, "storage_quota_exceeded")
    assert await quota(gateway) == {"acme": (5000, 0, True, 1.0)}
    await limited(file_bytes=None)
    assert (await put(gateway, key, 1)).status_code == 200
    assert (await quota(gateway))["acme"][1] == 100 * 1024**3
    still = (await gateway.client.get(path, headers=admin)).json()["limits"]
    assert (still["requests_per_minute"], still["file_bytes"]) == (600, None)
    team = {"name": "t", "organization_id": own["id"], "limits": {"file_bytes": 5}}
    refused = await gateway.client.post("/admin/teams", json=team, headers=admin)
    assert (refused.status_code, "file_bytes" in refused.text) == (422, True), "teams keep no files of their own"


async def batch(gateway: Gateway, key: dict[str, str], file_id: str, **headers: str) -> httpx.Response:
    wish = {"input_file_id": file_id, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    return await gateway.client.post("/v1/batches", json=wish, headers={**key, **headers})


async def test_so_many_batches_may_wait_and_no_more(platform: PlatformSettings) -> None:
    async with running_gateway(platform, tenant_unfinished_batches=3) as gateway:
        key, other = await key_of(gateway), await key_of(gateway, "other")
        file_id = (await put(gateway, key, 0, "batch")).json()["id"]
        repeated = await batch(gateway, key, file_id, **{"idempotency-key": "once"})
        answers = await asyncio.gather(*(batch(gateway, key, file_id) for _ in range(6)))
        assert Counter(answer.status_code for answer in answers) == {200: 2, 429: 4}
        full = await batch(gateway, key, file_id)
        assert (refusal(full), full.headers["x-should-retry"]) == ((429, "too_many_batches"), "false")
        again = await batch(gateway, key, file_id, **{"idempotency-key": "once"})
        assert again.json()["id"] == repeated.json()["id"], "what was made is found"
        theirs = (await put(gateway, other, 0, "batch")).json()["id"]
        assert (await batch(gateway, other, theirs)).status_code == 200
        assert await quota(gateway, "unfinished_batches") == {"acme": (3, 3, False, 1.0), "other": (1, 3, False, 0.333)}
        wish = {"requests": [{"custom_id": "a", "params": {"model": "mock", "max_tokens": 1, "messages": []}}]}
        messages = await gateway.client.post("/v1/messages/batches", json=wish, headers=key)
        assert (messages.status_code, messages.json()["error"]["type"]) == (429, "rate_limit_error")
        assert len((await gateway.client.get("/v1/files", headers=key)).json()["data"]) == 1, "its input is not kept"
        database, ended = open_database(platform, "gateway"), BatchKey("acme", repeated.json()["id"])
        book = SqlBatchBook(database)
        assert await book.take(ended, "me", 2.0**40, 60.0) is not None
        await book.reject(ended, "me", [], 2.0**40)
        await database.close()
        assert (await batch(gateway, key, file_id)).status_code == 200, "one has ended"


async def test_a_batch_whose_answers_would_have_no_room_is_refused(platform: PlatformSettings) -> None:
    async with running_gateway(platform, tenant_file_bytes=len(LINE)) as gateway:
        key = await key_of(gateway)
        file_id = (await put(gateway, key, 0, "batch")).json()["id"]
        refused = await batch(gateway, key, file_id)
        assert refusal(refused) == (403, "storage_quota_exceeded")
        assert "answers of a batch" in refused.json()["error"]["message"]


async def test_an_admin_key_sees_its_own_organisation(gateway: Gateway) -> None:
    await key_of(gateway, "other")
    wish = {"name": "boss", "tenant": "acme", "role": "admin"}
    made = (await gateway.client.post("/admin/keys", json=wish, headers=admin_headers())).json()
    found = await gateway.client.get("/admin/quotas", headers={"authorization": f"Bearer {made['key']}"})
    assert {(one["tenant"], one["quota"]) for one in found.json()["data"]} == {
        ("acme", "file_bytes"), ("acme", "unfinished_batches"),
    }  # fmt: skip


async def test_metrics_tell_how_full_it_is_without_names(platform: PlatformSettings) -> None:
    async with running_gateway(platform, tenant_file_bytes=1000, tenant_unfinished_batches=4) as gateway:
        key = await key_of(gateway)
        assert (await put(gateway, key, 250)).status_code == 200
        deps = gateway.deps
        sweep = Sweep(deps.batches, deps.files, deps.quotas, deps.batch_queue, deps.batch_metrics, deps.clock, 30.0)
        await sweep.round()
        text = (await gateway.client.get("/metrics")).text
        assert "sluice_gateway_file_bytes 250.0" in text
        assert 'sluice_gateway_quota_highest_share{quota="file_bytes"} 0.25' in text
        assert 'sluice_gateway_quota_highest_share{quota="unfinished_batches"} 0.0' in text
