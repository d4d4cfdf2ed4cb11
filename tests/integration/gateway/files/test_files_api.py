"""Files through a real gateway process: the official client, ranges, limits, forms as strangers send them, and crashes."""

import hashlib
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace

import httpx
import openai
import pytest
from tests.integration.gateway.control_plane import Gateway, running_gateway

from sluice.settings import PlatformSettings
from sluice.testing import admin_headers, service_headers

pytestmark = pytest.mark.integration
CONTENT = bytes(range(256)) * 4000


async def key_of(gateway: Gateway, tenant: str = "acme") -> dict[str, str]:
    made = await gateway.client.post("/admin/keys", json={"name": "files", "tenant": tenant}, headers=admin_headers())
    return {"authorization": f"Bearer {made.json()['key']}"}


async def sdk(gateway: Gateway, tenant: str = "acme") -> openai.AsyncOpenAI:
    key = (await key_of(gateway, tenant))["authorization"].removeprefix("Bearer ")
    return openai.AsyncOpenAI(base_url="http://test/v1", api_key=key, http_client=gateway.client, max_retries=0)


async def test_the_official_client_makes_lists_reads_and_deletes(gateway: Gateway) -> None:
    client = await sdk(gateway)
    made = [
        await client.files.create(file=(f"f{n}.bin", CONTENT), purpose="user_data" if n else "batch") for n in range(5)
    ]
    first = made[0]
    assert (first.object, first.bytes, first.filename, first.purpose) == ("file", len(CONTENT), "f0.bin", "batch")
    assert (first.model_extra or {})["sha256"] == hashlib.sha256(CONTENT).hexdigest()
    assert first.expires_at == first.created_at + 30 * 86_400
    assert made[1].expires_at is None
    newest_first = [file.id for file in reversed(made)]
    assert [file.id async for file in client.files.list(limit=2)] == newest_first
    assert [file.id async for file in client.files.list(limit=2, order="asc")] == newest_first[::-1]
    assert [file.id async for file in client.files.list(after=made[2].id)] == [made[1].id, made[0].id]
    assert [file.id async for file in client.files.list(purpose="batch")] == [first.id]
    for listing in (client.files.list, client.batches.list):
        with pytest.raises(openai.BadRequestError, match="`after`: it names nothing in this list"):
            await listing(after="zzz")
    assert (await client.files.retrieve(first.id)) == first
    assert (await client.files.content(first.id)).content == CONTENT
    assert (await client.files.delete(first.id)).deleted
    for question in (client.files.retrieve(first.id), client.files.content(first.id), client.files.delete(first.id)):
        with pytest.raises(openai.NotFoundError):
            await question
    assert not (gateway.deps.platform.data_dir / "gateway" / "files" / first.id).exists()


class Stores:
    """Vector stores that note what they are to forget."""

    def __init__(self) -> None:
        self.forgotten: list[tuple[str, str]] = []

    async def forget_file(self, file_id: str, *, tenant: str) -> None:
        self.forgotten.append((file_id, tenant))


async def test_a_file_leaves_vector_stores_also_when_they_are_away_for_a_while(gateway: Gateway) -> None:
    client, files = await sdk(gateway), gateway.deps.files
    plain, read = [await client.files.create(file=("x", b"x"), purpose="user_data") for _ in range(2)]
    reader = service_headers("gateway", "acme", subject="retrieval")
    for _ in range(2):
        assert (await gateway.client.get(f"/v1/files/{read.id}", headers=reader)).status_code == 200
    for file in (plain, read):
        assert (await client.files.delete(file.id)).deleted  # the retrieval service is not there
        with pytest.raises(openai.NotFoundError):
            await client.files.retrieve(file.id)
        assert not (gateway.deps.platform.data_dir / "gateway" / "files" / file.id).exists()
    now = gateway.deps.clock.now()
    assert await files.sweep() == 0
    assert await files.store.to_remove(now) == [(read.id, "acme", True)]
    stores = Stores()
    assert await replace(files, stores=stores).sweep() == 1
    assert stores.forgotten == [(read.id, "acme")]
    assert await files.store.to_remove(now) == []


async def test_an_end_is_kept_to(gateway: Gateway) -> None:
    client = await sdk(gateway)
    made = await client.files.create(
        file=("x", b"x"), purpose="evals", expires_after={"anchor": "created_at", "seconds": 3600}
    )
    assert made.expires_at == made.created_at + 3600
    with pytest.raises(openai.BadRequestError, match="expires_after"):
        await client.files.create(
            file=("x", b"x"), purpose="evals", expires_after={"anchor": "created_at", "seconds": 60}
        )
    assert await gateway.deps.files.sweep() == 0
    later = gateway.deps.clock.now() + 3601
    assert await gateway.deps.files.store.to_remove(later) == [(made.id, "acme", False)]
    assert await gateway.deps.files.sweep() == 1
    assert not (gateway.deps.platform.data_dir / "gateway" / "files" / made.id).exists()
    with pytest.raises(openai.NotFoundError):
        await client.files.retrieve(made.id)


async def test_a_part_of_a_file(gateway: Gateway) -> None:
    client = await sdk(gateway)
    file = await client.files.create(file=("é.bin", CONTENT), purpose="user_data")
    size = len(CONTENT)

    async def get(wanted: str) -> httpx.Response:
        headers = {**client.auth_headers, "range": wanted}
        return await gateway.client.get(f"/v1/files/{file.id}/content", headers=headers)

    for wanted, start, stop in (
        ("bytes=0-9", 0, 10),
        ("bytes=300000-599999", 300_000, 600_000),
        (f"bytes={size - 1}-", size - 1, size),
        ("bytes=-5", size - 5, size),
        ("bytes=5-99999999", 5, size),
    ):
        answer = await get(wanted)
        assert (answer.status_code, answer.content) == (206, CONTENT[start:stop]), wanted
        assert answer.headers["content-range"] == f"bytes {start}-{stop - 1}/{size}"
        assert answer.headers["content-length"] == str(stop - start)
    for wanted in ("bytes=0-1,5-6", "lines=1-2", "bytes=9-2", "bytes=-"):
        assert ((await get(wanted)).status_code, len((await get(wanted)).content)) == (200, size)
    outside = await get(f"bytes={size}-")
    assert (outside.status_code, outside.headers["content-range"]) == (416, f"bytes */{size}")
    assert outside.json()["error"]["code"] == "range_outside_file"
    whole = await get("")
    assert "filename*=UTF-8''%C3%A9.bin" in whole.headers["content-disposition"]


async def test_tenants_never_meet(gateway: Gateway) -> None:
    ours, theirs = await sdk(gateway), await sdk(gateway, "rival")
    file = await ours.files.create(file=("x", b"x"), purpose="user_data")
    for question in (theirs.files.retrieve(file.id), theirs.files.content(file.id), theirs.files.delete(file.id)):
        with pytest.raises(openai.NotFoundError):
            await question
    assert [found async for found in theirs.files.list()] == []
    assert (await ours.files.retrieve(file.id)).id == file.id


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_only_known_services_read_for_a_tenant(gateway: Gateway) -> None:
    file = await (await sdk(gateway)).files.create(file=("x", b"x"), purpose="fine-tune")
    path = f"/v1/files/{file.id}"
    for headers, status in (
        (service_headers("gateway", "acme", subject="finetune-worker"), 200),
        (service_headers("gateway", "rival", subject="finetune-worker"), 404),
        (service_headers("gateway", "acme", subject="feedback"), 401),
        (service_headers("gateway", "acme", subject="finetune-worker", role="member"), 401),
        (service_headers("retrieval", "acme", subject="finetune-worker"), 401),
        (admin_headers("acme"), 401),
        ({}, 401),
    ):
        for asked in (path, f"{path}/content"):
            assert (await gateway.client.get(asked, headers=headers)).status_code == status
    writer = service_headers("gateway", "acme", subject="finetune-worker")
    assert (await gateway.client.delete(path, headers=writer)).status_code == 401
    assert (await gateway.client.get("/v1/files", headers=writer)).status_code == 401


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_uploads_that_are_refused_leave_nothing_behind(platform: PlatformSettings) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield b'--B\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
        for _ in range(100):
            yield b"x" * 10_000

    async with running_gateway(platform, max_file_bytes=100_000) as gateway:
        key = await key_of(gateway)
        http = gateway.client
        form = {**key, "content-type": "multipart/form-data; boundary=B"}
        part = b'--B\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\nabc\r\n--B'

        async def upload(content: bytes, purpose: str) -> httpx.Response:
            return await http.post("/v1/files", headers=key, data={"purpose": purpose}, files={"file": ("x", content)})

        answers = [
            (await http.post("/v1/files", headers=form, content=endless()), 413, "file_too_large"),
            (await upload(b"x" * 200_000, "batch"), 413, "file_too_large"),
            (await http.post("/v1/files", headers=form, content=part), 400, "invalid_form"),
            (await http.post("/v1/files", headers=form, content=part + b"--\r\n"), 400, "invalid_form"),
            (await http.post("/v1/files", headers=form, content=b"nonsense"), 400, "invalid_form"),
            (await http.post("/v1/files", headers=key, json={}), 415, "not_a_form"),
            (await upload(b"", "batch"), 400, "invalid_form"),
            (await upload(b"x", "batch_output"), 400, "unknown_purpose"),
            (await upload(b"x", "x" * 20_000), 400, "invalid_form"),
        ]
        for answer, status, code in answers:
            assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text
        assert (await http.get("/v1/files", headers=key)).json()["data"] == []
        assert list((platform.data_dir / "gateway" / "files").iterdir()) == []
        with closing(sqlite3.connect(platform.data_dir / "gateway.sqlite")) as connection:
            assert connection.execute("SELECT count(*) FROM files").fetchone() == (0,)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_what_a_crash_left_is_cleared(gateway: Gateway) -> None:
    shelf, now = gateway.deps.files, time.time()
    folder = gateway.deps.platform.data_dir / "gateway" / "files"
    folder.mkdir(parents=True)
    for name, age in (("file_old", 90_000), ("file_new", 10)):
        await shelf.store.begin(name, "acme", "key_1", now - age)
        (folder / f"{name}.part").write_bytes(b"half")
    assert await shelf.sweep() == 1
    assert [path.name for path in folder.iterdir()] == ["file_new.part"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_content_that_is_gone_is_said(gateway: Gateway) -> None:
    client = await sdk(gateway)
    file = await client.files.create(file=("x", b"x"), purpose="user_data")
    (gateway.deps.platform.data_dir / "gateway" / "files" / file.id).unlink()
    with pytest.raises(openai.InternalServerError) as lost:
        await client.files.content(file.id)
    assert lost.value.code == "file_content_missing"
