"""The finetune-worker's API without a socket: the real client, uploads of all kinds, and what a stranger sends."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from tests.integration.finetune.front_gateway import Front, front_gateway

from sluice.blobs import BlobMissing
from sluice.clients.finetune import FinetuneClient
from sluice.contracts.finetune import JobCreate
from sluice.contracts.paging import PageQuery
from sluice.errors import BadRequest, NotFound
from sluice.migrations import upgrade
from sluice.settings import PlatformSettings
from sluice.testing import (
    asgi_client,
    environment_of,
    free_port,
    platform_settings,
    service_client,
    service_headers,
    valkey_server,
)
from sluice.testing.processes import ServiceProcess
from sluice_finetune.adapters.blobs import Copies
from sluice_finetune.app import create_app
from sluice_finetune.domain.validation import LineTooLong
from sluice_finetune.settings import Settings
from sluice_finetune.wiring import open_deps

MIGRATIONS = Path(__file__).parents[3] / "services" / "finetune-worker" / "migrations"
CONFIG = Path(__file__).parents[3] / "deploy" / "config"
HEADERS = service_headers("finetune", "acme")
ROW = b'{"instruction": "q", "output": "a"}\n'


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with valkey_server() as url:
        yield url


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Iterator[Front]:
    """A gateway that keeps the files."""
    folder = tmp_path_factory.mktemp("front")
    url = f"http://127.0.0.1:{free_port()}"
    platform = platform_settings(folder, redis_url=redis_url, gateway_url=url, router_url="http://127.0.0.1:9")
    with front_gateway(platform, folder / "gateway.log") as gateway:
        yield gateway


@pytest.fixture
def platform(tmp_path: Path, redis_url: str, front: Front) -> PlatformSettings:
    made = platform_settings(tmp_path, redis_url=redis_url, gateway_url=front.url)
    asyncio.run(upgrade(made, "finetune", MIGRATIONS))
    return made


@pytest.fixture
async def http(platform: PlatformSettings) -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings(max_file_bytes=100_000)
    async with asgi_client(create_app(lambda: open_deps(platform, settings))) as client:
        yield client


def upload(front: Front, content: bytes = ROW, purpose: str = "fine-tune", tenant: str = "acme") -> str:
    return front.upload(front.key(tenant), content, purpose)


async def test_the_shared_client_makes_and_follows_a_job(platform: PlatformSettings, front: Front) -> None:
    app = create_app(lambda: open_deps(platform, Settings()))
    async with asgi_client(app), service_client("finetune", app, platform) as called:
        file_id = upload(front)
        client = FinetuneClient(called)
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


async def test_a_job_has_copies_of_its_files_from_the_start(
    http: httpx.AsyncClient, platform: PlatformSettings, front: Front
) -> None:
    wish = {"model": "m", "training_file": upload(front), "validation_file": upload(front, ROW * 2)}
    made = (await http.post("/v1/fine_tuning/jobs", json=wish, headers=HEADERS)).json()
    folder = platform.data_dir / "finetune" / "files"
    copies = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert copies == {f"{made['id']}.training_file": ROW, f"{made['id']}.validation_file": ROW * 2}
    await http.post(f"/v1/fine_tuning/jobs/{made['id']}/cancel", headers=HEADERS)
    assert list(folder.iterdir()) == []


async def test_files_that_cannot_be_trained_on_are_refused_and_leave_nothing(
    http: httpx.AsyncClient, platform: PlatformSettings, front: Front
) -> None:
    good = upload(front)
    for wish, code in (
        ({"training_file": upload(front, purpose="batch")}, "unsuitable_file"),
        ({"training_file": upload(front, b"x" * 200_000)}, "unsuitable_file"),
        ({"training_file": upload(front, tenant="rival")}, "unknown_training_file"),
        ({"training_file": good, "validation_file": "../../etc"}, "unknown_training_file"),
    ):
        answer = await http.post("/v1/fine_tuning/jobs", json={"model": "m", **wish}, headers=HEADERS)
        assert (answer.status_code, answer.json()["code"]) == (400, code), answer.text
    assert (await http.get("/v1/fine_tuning/jobs", headers=HEADERS)).json()["data"] == []
    folder = platform.data_dir / "finetune" / "files"
    assert not folder.exists() or list(folder.iterdir()) == []


async def test_a_check_names_the_lines_and_leaves_nothing(
    http: httpx.AsyncClient, platform: PlatformSettings, front: Front
) -> None:
    found = (await http.get(f"/v1/files/{upload(front, ROW + b'nope')}/validation", headers=HEADERS)).json()
    assert (found["format"], found["examples"], found["errors"][0]["line"]) == ("alpaca", 1, 2)
    missing = await http.get("/v1/files/file_none/validation", headers=HEADERS)
    assert (missing.status_code, missing.json()["code"]) == (404, "file_not_found")
    assert list((platform.data_dir / "finetune" / "files").iterdir()) == []


async def test_a_file_is_checked_for_compliance_by_a_real_guardrail(
    tmp_path: Path, platform: PlatformSettings, front: Front
) -> None:
    port = free_port()
    there = platform.model_copy(update={"guardrail_url": f"http://127.0.0.1:{port}"})
    file_id = upload(front, ROW + b'{"instruction": "who?", "output": "bob@example.com", "license": "MIT"}\n')
    path = f"/v1/files/{file_id}/compliance"
    async with asgi_client(create_app(lambda: open_deps(there, Settings()))) as http:
        away = await http.post(path, json={}, headers=HEADERS)
        assert (away.status_code, away.json()["code"]) == (503, "dependency_unavailable")
        environment = environment_of(there) | {"SLUICE_GUARDRAIL_PORT": str(port), "SLUICE_CONFIG_DIR": str(CONFIG)}
        with ServiceProcess("sluice_guardrail", ["serve"], environment, tmp_path / "guardrail.log") as guardrail:
            guardrail.wait_ready(f"http://127.0.0.1:{port}/readyz")
            found = (await http.post(path, json={"licenses": ["MIT"]}, headers=HEADERS)).json()
            unknown = await http.post(path, json={"policy": "nope"}, headers=HEADERS)
    assert (found["compliant"], found["issues"], found["not_allowed"]) == (False, {"pii_detected": 1}, 1)
    assert [(one["line"], one["issues"]) for one in found["findings"]] == [(1, []), (2, ["pii_detected"])]
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_policy")


async def test_no_job_is_made_while_the_gateway_is_away(tmp_path: Path, redis_url: str) -> None:
    platform = platform_settings(tmp_path, redis_url=redis_url, gateway_url=f"http://127.0.0.1:{free_port()}")
    await upgrade(platform, "finetune", MIGRATIONS)
    async with asgi_client(create_app(lambda: open_deps(platform, Settings()))) as http:
        wish = {"model": "m", "training_file": "file_x"}
        answer = await http.post("/v1/fine_tuning/jobs", json=wish, headers=HEADERS)
        assert (answer.status_code, answer.json()["code"]) == (503, "dependency_unavailable")
        assert (await http.get("/v1/fine_tuning/jobs", headers=HEADERS)).json()["data"] == []


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
    for method, path in (("GET", "/v1/files/file_x/validation"), ("GET", "/v1/fine_tuning/jobs")):
        assert (await http.request(method, path)).status_code == 401


async def test_a_job_is_kept_while_the_queue_is_away(tmp_path: Path, front: Front) -> None:
    platform = platform_settings(tmp_path, redis_url="redis://127.0.0.1:1/0", gateway_url=front.url)
    await upgrade(platform, "finetune", MIGRATIONS)
    async with asgi_client(create_app(lambda: open_deps(platform, Settings()))) as http:
        file_id = upload(front)
        answer = await http.post("/v1/fine_tuning/jobs", json={"model": "m", "training_file": file_id}, headers=HEADERS)
        assert answer.status_code == 200
        assert (await http.get("/readyz")).status_code == 503


def test_a_line_over_the_limit_is_skipped_and_the_next_is_read(tmp_path: Path) -> None:
    blobs = Copies(tmp_path, max_line_bytes=10)
    (tmp_path / "k").write_bytes(b"short\n" + b"x" * 35 + b"\nnext\n" + b"0123456789" + b"\n" + b"y" * 11)
    lines = [line if isinstance(line, bytes) else type(line) for line in blobs.lines("k")]
    assert lines == [b"short\n", LineTooLong, b"next\n", b"0123456789\n", LineTooLong]


async def test_copies_of_ended_jobs_are_cleared_and_a_lost_content_is_said(tmp_path: Path) -> None:
    copies = Copies(tmp_path, max_line_bytes=10)
    for name, age in (("ended.training_file", 7200), ("open.training_file", 7200), ("new.training_file.part", 0)):
        (tmp_path / name).write_bytes(b"x")
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    assert copies.keep_only({"open"}, time.time() - 3600) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.training_file.part", "open.training_file"]
    with pytest.raises(BlobMissing):
        list(copies.lines("gone"))
    with pytest.raises(BlobMissing):
        await copies.size("gone")
