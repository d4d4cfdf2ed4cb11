"""The finetune-worker as users run it: API process, worker process, Valkey, and the official client."""

import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import openai
import pytest
from openai.types.fine_tuning import FineTuningJob
from tests.integration.finetune.front_gateway import Front, front_gateway

from sluice.settings import PlatformSettings
from sluice.testing import ServiceProcess, environment_of, free_port, service_headers, wait_until

pytestmark = pytest.mark.integration
ROW = json.dumps({"messages": [{"role": "user", "content": "q?"}, {"role": "assistant", "content": "a!"}]})


@dataclass
class Running:
    """An API process, and workers as they are needed."""

    base: str
    front: Front
    environment: dict[str, str]
    logs: Path
    api: ServiceProcess
    clients: list[openai.OpenAI] = field(default_factory=list)

    def client(self, tenant: str = "acme") -> openai.OpenAI:
        key = self.front.key(tenant)
        self.clients.append(openai.OpenAI(base_url=f"{self.front.url}/v1", api_key=key, max_retries=0))
        return self.clients[-1]

    def worker(self) -> ServiceProcess:
        port = free_port()
        environment = {**self.environment, "SLUICE_FINETUNE_WORKER_PORT": str(port)}
        process = ServiceProcess("sluice_finetune", ["worker"], environment, self.logs / "worker.log").start()
        process.wait_ready(f"http://127.0.0.1:{port}/readyz")
        return process


@pytest.fixture
def running(migrated: PlatformSettings, tmp_path: Path) -> Iterator[Running]:
    port, front_port = free_port(), free_port()
    base = f"http://127.0.0.1:{port}"
    places = {"finetune_url": base, "gateway_url": f"http://127.0.0.1:{front_port}", "router_url": "http://127.0.0.1:9"}
    platform = migrated.model_copy(update=places)
    environment = environment_of(platform) | {
        "SLUICE_FINETUNE_PORT": str(port),
        "SLUICE_FINETUNE_LEASE_S": "3",
        "SLUICE_FINETUNE_SWEEP_S": "0.5",
        "SLUICE_FINETUNE_RESEND_S": "2",
    }
    with (
        front_gateway(platform, tmp_path / "gateway.log") as front,
        ServiceProcess("sluice_finetune", ["serve"], environment, tmp_path / "api.log") as api,
    ):
        api.wait_ready(f"{base}/readyz")
        running = Running(base, front, environment, tmp_path, api)
        yield running
        for client in running.clients:
            client.close()


def wait_for_end(client: openai.OpenAI, job_id: str, seconds: float = 60.0) -> FineTuningJob:
    def ended() -> FineTuningJob | None:
        job = client.fine_tuning.jobs.retrieve(job_id)
        return job if job.status in ("succeeded", "failed", "cancelled") else None

    found = wait_until(ended, seconds=seconds, what="the end of the job")
    assert found is not None
    return found


def messages(client: openai.OpenAI, job_id: str) -> list[str]:
    # Two at a time, so that the client goes through several pages.
    return [event.message for event in client.fine_tuning.jobs.list_events(job_id, limit=2)][::-1]


def test_the_official_client_uploads_trains_and_is_told_the_truth(running: Running) -> None:
    client = running.client()
    content = (ROW + "\n").encode() * 3
    file = client.files.create(file=("train.jsonl", content), purpose="fine-tune")
    assert (file.filename, file.bytes, file.purpose) == ("train.jsonl", len(content), "fine-tune")
    assert (file.model_extra or {})["sha256"] == hashlib.sha256(content).hexdigest()
    assert client.files.content(file.id).read() == content
    assert [found.id for found in client.files.list()] == [file.id]

    job = client.fine_tuning.jobs.create(
        model="smollm2-135m", training_file=file.id, suffix="mine", seed=7, metadata={"task": "qa"}
    )
    assert (job.status, job.seed) == ("validating_files", 7)
    assert client.files.delete(file.id).deleted  # the job has a copy of its own
    with worker_of(running):
        ended = wait_for_end(client, job.id)
    assert ended.status == "failed"
    assert ended.error is not None
    assert ended.error.code == "training_backend_unavailable"
    assert "nothing was trained" in ended.error.message
    assert ended.fine_tuned_model is None
    assert ended.hyperparameters.n_epochs == 5
    extra = ended.model_extra or {}
    assert extra["dataset"]["duplicates"] == 2
    assert [warning["code"] for warning in extra["preflight"]["warnings"]] == [
        "few_examples",
        "duplicates",
        "task_needs_more",
    ]
    told = messages(client, job.id)
    assert told[0] == f"Created fine-tuning job: {job.id}"
    assert told[-1] == ended.error.message
    assert len(told) == len(set(told)) == 10
    assert [found.id for found in client.fine_tuning.jobs.list()] == [job.id]
    assert copies_of(running) == []


def test_a_job_can_be_cancelled_before_a_worker_takes_it(running: Running) -> None:
    client = running.client()
    file = client.files.create(file=("t.jsonl", ROW.encode()), purpose="fine-tune")
    job = client.fine_tuning.jobs.create(model="m", training_file=file.id)
    assert client.fine_tuning.jobs.cancel(job.id).status == "cancelled"
    with pytest.raises(openai.ConflictError):
        client.fine_tuning.jobs.cancel(job.id)
    with worker_of(running):
        time.sleep(3.0)
    assert client.fine_tuning.jobs.retrieve(job.id).status == "cancelled"
    assert messages(client, job.id) == [f"Created fine-tuning job: {job.id}", "The job was cancelled"]


def test_a_worker_killed_in_mid_job_loses_nothing_and_repeats_nothing(running: Running) -> None:
    client = running.client()
    content = b"".join(ROW.replace("q?", f"q{n}?").encode() + b"\n" for n in range(120_000))
    file = client.files.create(file=("big.jsonl", content), purpose="fine-tune")
    first = running.worker()
    job = client.fine_tuning.jobs.create(model="smollm2-135m", training_file=file.id)
    wait_until(
        lambda: any("Validating" in message for message in messages(client, job.id)), every=0.02, what="the job's start"
    )
    first.kill()
    assert client.fine_tuning.jobs.retrieve(job.id).status == "validating_files"
    with worker_of(running):
        ended = wait_for_end(client, job.id)
        time.sleep(3.0)  # a second delivery of the same task must change nothing
    assert ended.error is not None
    assert ended.error.code == "training_backend_unavailable"
    assert (ended.model_extra or {})["dataset"]["examples"] == 120_000
    told = messages(client, job.id)
    assert told.count("The job goes on after its worker was interrupted") == 1
    assert len(told) == len(set(told))
    assert client.fine_tuning.jobs.retrieve(job.id).finished_at == ended.finished_at


def test_a_job_that_was_acknowledged_survives_a_kill_of_the_api_with_its_files(running: Running) -> None:
    client = running.client()
    file = client.files.create(file=("t.jsonl", ROW.encode()), purpose="fine-tune")
    job = client.fine_tuning.jobs.create(model="m", training_file=file.id)
    running.api.kill()
    running.api.start()
    running.api.wait_ready(f"{running.base}/readyz")
    assert copies_of(running) == [f"{job.id}.training_file"]
    running.front.process.kill()  # what the job needs is its own by now
    headers = service_headers("finetune", "acme")

    def ended() -> bool:
        found = httpx.get(f"{running.base}/v1/fine_tuning/jobs/{job.id}", headers=headers, timeout=60).json()
        return found["status"] == "failed" and found["error"]["code"] == "training_backend_unavailable"

    with worker_of(running):
        wait_until(ended, seconds=60, what="the end of the job")


def test_tenants_never_meet_over_the_api(running: Running) -> None:
    ours, theirs = running.client("acme"), running.client("rival")
    file = ours.files.create(file=("t.jsonl", ROW.encode()), purpose="fine-tune")
    job = ours.fine_tuning.jobs.create(model="m", training_file=file.id)
    for question in (
        lambda: theirs.files.retrieve(file.id),
        lambda: theirs.files.content(file.id),
        lambda: theirs.files.delete(file.id),
        lambda: theirs.fine_tuning.jobs.retrieve(job.id),
        lambda: theirs.fine_tuning.jobs.cancel(job.id),
        lambda: theirs.fine_tuning.jobs.list_events(job.id),
    ):
        with pytest.raises(openai.NotFoundError):
            question()
    with pytest.raises(openai.BadRequestError) as refused:
        theirs.fine_tuning.jobs.create(model="m", training_file=file.id)
    assert "there is no file" in str(refused.value)
    assert list(theirs.files.list()) == []
    assert list(theirs.fine_tuning.jobs.list()) == []


def test_a_wrong_file_is_named_line_by_line_before_and_in_the_job(running: Running) -> None:
    client = running.client()
    file = client.files.create(file=("t.jsonl", f"{ROW}\nnope\n{ROW}\n".encode()), purpose="fine-tune")
    headers = {"authorization": f"Bearer {client.api_key}"}
    checked = httpx.get(f"{running.front.url}/v1/files/{file.id}/validation", headers=headers, timeout=60).json()
    assert (checked["examples"], checked["error_count"], checked["errors"][0]["line"]) == (2, 1, 2)
    job = client.fine_tuning.jobs.create(model="m", training_file=file.id)
    with worker_of(running):
        ended = wait_for_end(client, job.id)
    assert ended.error is not None
    assert (ended.error.code, ended.error.param) == ("invalid_training_file", "training_file")
    assert "line 2: not JSON" in ended.error.message


def copies_of(running: Running) -> list[str]:
    """The copies of files that jobs have."""
    return [path.name for path in Path(running.environment["SLUICE_DATA_DIR"], "finetune", "files").iterdir()]


def worker_of(running: Running) -> "_Worker":
    return _Worker(running)


class _Worker:
    """A worker for the length of a block."""

    def __init__(self, running: Running) -> None:
        self._running = running

    def __enter__(self) -> None:
        self._process = self._running.worker()

    def __exit__(self, *_: object) -> None:
        self._process.stop()
