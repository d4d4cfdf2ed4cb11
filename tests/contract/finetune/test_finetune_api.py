"""The finetune-worker's API without a socket: the real client, uploads of all kinds, and what a stranger sends."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from sluice.clients.finetune import FinetuneClient
from sluice.contracts.finetune import JobCreate
from sluice.contracts.paging import PageQuery
from sluice.errors import BadRequest, NotFound
from sluice.migrations import upgrade
from sluice.settings import PlatformSettings
from sluice.testing import asgi_client, platform_settings, service_client, service_headers, valkey_server
from sluice_finetune.adapters.blobs import FolderBlobs
from sluice_finetune.app import create_app
from sluice_finetune.domain.errors import BlobMissing
from sluice_finetune.domain.validation import LineTooLong
from sluice_finetune.settings import Settings
from sluice_finetune.wiring import open_deps

MIGRATIONS = Path(__file__).parents[3] / "services" / "finetune-worker" / "migrations"
HEADERS = service_headers("finetune", "acme")
ROW = b'{"instruction": "q", "output": "a"}\n'


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with valkey_server() as url:
        yield url


@pytest.fixture
def platform(tmp_path: Path, redis_url: str) -> PlatformSettings:
    made = platform_settings(tmp_path, redis_url=redis_url)
    asyncio.run(upgrade(made, "finetune", MIGRATIONS))
    return made


@pytest.fixture
async def http(platform: PlatformSettings) -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings(max_file_bytes=100_000)
    async with asgi_client(create_app(lambda: open_deps(platform, settings))) as client:
        yield client


async def upload(http: httpx.AsyncClient, content: bytes = ROW, name: str = "t.jsonl") -> httpx.Response:
    files = {"file": (name, content, "application/jsonl")}
    return await http.post("/v1/files", headers=HEADERS, data={"purpose": "fine-tune"}, files=files)


async def test_the_shared_client_makes_and_follows_a_job(platform: PlatformSettings) -> None:
    app = create_app(lambda: open_deps(platform, Settings()))
    async with asgi_client(app) as http, service_client("finetune", app, platform) as called:
        file_id = (await upload(http)).json()["id"]
        client = FinetuneClient(called)
        assert [file.id for file in (await client.files(PageQuery(), tenant="acme")).data] == [file_id]
        assert (await client.validation(file_id, tenant="acme")).format == "alpaca"
        job = await client.create_job(JobCreate(model="llama-7b", training_file=file_id), tenant="acme")
        assert (await client.job(job.id, tenant="acme")).status == "validating_files"
        assert (await client.events(job.id, PageQuery(), tenant="acme")).data[0].message.endswith(job.id)
        assert (await client.cancel(job.id, tenant="acme")).status == "cancelled"
        assert [found.id for found in (await client.jobs(PageQuery(), tenant="acme")).data] == [job.id]
        with pytest.raises(NotFound):
            await client.job(job.id, tenant="other")
        with pytest.raises(BadRequest, match="there is no file 'file_x'"):
            await client.create_job(JobCreate(model="m", training_file="file_x"), tenant="acme")
        assert (await client.delete_file(file_id, tenant="acme")).deleted


async def test_the_file_may_stand_before_the_purpose_and_come_in_small_pieces(http: httpx.AsyncClient) -> None:
    body = (
        b'--B\r\nContent-Disposition: form-data; name="file"; filename="../../x\xc3\xa9.jsonl"\r\n\r\n'
        + ROW * 50
        + b'\r\n--B\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nfine-tune\r\n--B--\r\n'
    )

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(body), 7):
            yield body[at : at + 7]

    headers = {**HEADERS, "content-type": "multipart/form-data; boundary=B"}
    answer = await http.post("/v1/files", headers=headers, content=pieces())
    assert answer.status_code == 200
    assert answer.json()["filename"] == "xé.jsonl"
    content = await http.get(f"/v1/files/{answer.json()['id']}/content", headers=HEADERS)
    assert content.content == ROW * 50


async def test_uploads_that_are_refused_leave_nothing_behind(
    http: httpx.AsyncClient, platform: PlatformSettings
) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield b'--B\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
        for _ in range(100):
            yield b"x" * 10_000

    form = {**HEADERS, "content-type": "multipart/form-data; boundary=B"}
    part = b'--B\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\nabc\r\n--B'
    answers = [
        (await http.post("/v1/files", headers=form, content=endless()), 413, "file_too_large"),
        (await upload(http, b"x" * 200_000), 413, "file_too_large"),
        (await http.post("/v1/files", headers=form, content=part), 400, "invalid_form"),
        (await http.post("/v1/files", headers=form, content=part + b"--\r\n"), 400, "invalid_form"),
        (await http.post("/v1/files", headers=form, content=b"nonsense"), 400, "invalid_form"),
        (await http.post("/v1/files", headers={**HEADERS, "content-type": "multipart/form-data"}, content=b"x"), 400, "invalid_form"),
        (await http.post("/v1/files", headers=HEADERS, json={}), 415, "not_a_form"),
        (await upload(http, b""), 400, "invalid_form"),
        (await http.post("/v1/files", headers=HEADERS, data={"purpose": "batch"}, files={"file": ("x", b"x")}), 400, "unknown_purpose"),
        (await http.post("/v1/files", headers=HEADERS, data={"purpose": "x" * 20_000}, files={"file": ("x", b"x")}), 400, "invalid_form"),
    ]  # fmt: skip
    for answer, status, code in answers:
        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
        assert answer.headers["content-type"] == "application/problem+json"
    assert (await http.get("/v1/files", headers=HEADERS)).json()["data"] == []
    assert list((platform.data_dir / "finetune" / "files").iterdir()) == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"{}", 422),
        (b'{"model": "m", "training_file": "file_none"}', 400),
        (b'{"model": "", "training_file": "x"}', 422),
        (b'{"model": "m", "training_file": "x", "hyperparameters": {"n_epochs": 0}}', 422),
        (b'{"model": "m", "training_file": "x", "seed": -1}', 422),
        (b'{"model": "m", "training_file": "x", "metadata": {"a": 1}}', 422),
    ],
)
async def test_a_job_that_makes_no_sense_is_refused(http: httpx.AsyncClient, body: bytes, status: int) -> None:
    answer = await http.post(
        "/v1/fine_tuning/jobs", content=body, headers={**HEADERS, "content-type": "application/json"}
    )
    assert answer.status_code == status
    assert answer.json()["detail"]


async def test_without_a_credential_nothing_is_answered(http: httpx.AsyncClient) -> None:
    for method, path in (("GET", "/v1/files"), ("POST", "/v1/files"), ("GET", "/v1/fine_tuning/jobs")):
        assert (await http.request(method, path)).status_code == 401


async def test_a_job_is_kept_while_the_queue_is_away(tmp_path: Path) -> None:
    platform = platform_settings(tmp_path, redis_url="redis://127.0.0.1:1/0")
    await upgrade(platform, "finetune", MIGRATIONS)
    async with asgi_client(create_app(lambda: open_deps(platform, Settings()))) as http:
        file_id = (await upload(http)).json()["id"]
        answer = await http.post("/v1/fine_tuning/jobs", json={"model": "m", "training_file": file_id}, headers=HEADERS)
        assert answer.status_code == 200
        assert (await http.get("/readyz")).status_code == 503


def test_a_line_over_the_limit_is_skipped_and_the_next_is_read(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path, max_line_bytes=10)
    (tmp_path / "k").write_bytes(b"short\n" + b"x" * 35 + b"\nnext\n" + b"0123456789" + b"\n" + b"y" * 11)
    lines = [line if isinstance(line, bytes) else type(line) for line in blobs.lines("k")]
    assert lines == [b"short\n", LineTooLong, b"next\n", b"0123456789\n", LineTooLong]


async def test_what_a_crash_left_is_cleared_and_a_lost_content_is_said(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path, max_line_bytes=10)
    for name, age in (("old.part", 7200), ("new.part", 0)):
        (tmp_path / name).write_bytes(b"x")
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    assert blobs.remove_unfinished(time.time() - 3600) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["new.part"]
    with pytest.raises(BlobMissing):
        list(blobs.lines("gone"))
    with pytest.raises(BlobMissing):
        await blobs.size("gone")
