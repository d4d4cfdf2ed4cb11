"""Brings a job from state to state; killed at any point, the next run goes on from the last state that was stored."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal

from sluice.blobs import BlobMissing
from sluice.clock import Clock
from sluice.contracts.finetune import DatasetReport, JobError
from sluice_finetune.domain.errors import JobLost, TrainingUnavailable
from sluice_finetune.domain.jobs import (
    ENDED,
    FILE_PARAMS,
    Change,
    CopyReader,
    Event,
    FileParam,
    Job,
    JobRecord,
    TrainingBackend,
    copy_of,
)
from sluice_finetune.domain.preflight import preflight
from sluice_finetune.domain.validation import validate

Outcome = Literal["ended", "skipped", "lost", "given_up"]


class InvalidFile(Exception):
    """A file of the job cannot be trained on; the message says why."""

    def __init__(self, param: str, message: str) -> None:
        super().__init__(message)
        self.param = param


@dataclass(frozen=True, slots=True)
class JobRunner:
    """Runs jobs as `owner`; `max_attempts` bounds how often an interrupted job is begun again."""

    record: JobRecord
    copies: CopyReader
    backend: TrainingBackend
    clock: Clock
    owner: str
    lease_s: float
    max_attempts: int

    async def run(self, tenant: str, job_id: str) -> Outcome:
        """Take the job to its end, unless it has ended, belongs to another worker, or is cancelled on the way."""
        job = await self.record.claim(tenant, job_id, self.owner, self.clock.now(), self.lease_s)
        if job is None:
            return "skipped"
        try:
            if job.attempts > self.max_attempts:
                await self._fail(job, "interrupted_too_often", f"The job was interrupted {self.max_attempts} times.")
                await self._forget_copies(job)
                return "given_up"
            async with self._lease(job) as lost:
                while job.status not in ENDED:
                    job = await self._step(job, lost)
            await self._forget_copies(job)
        except JobLost:
            return "lost"
        return "ended"

    async def _step(self, job: Job, lost: threading.Event) -> Job:
        if job.status == "validating_files":
            return await self._validate(job, lost)
        if job.status == "queued":
            return await self._check_before(job)
        return await self._train(job)

    async def _validate(self, job: Job, lost: threading.Event) -> Job:
        began = [Event("validating", "info", f"Validating training file: {job.wish.training_file}")]
        if job.attempts > 1:
            began.append(Event(f"resumed-{job.attempts}", "warn", "The job goes on after its worker was interrupted"))
        await self._advance(job, Change(events=began))
        try:
            training = await self._read(job, "training_file", job.wish.training_file, lost)
            held_out = None
            if job.wish.validation_file is not None:
                held_out = await self._read(job, "validation_file", job.wish.validation_file, lost)
        except InvalidFile as exc:
            return await self._fail(job, "invalid_" + exc.param, str(exc), exc.param)
        change = Change(
            status="queued",
            dataset=training,
            validation_dataset=held_out,
            events=[
                Event(
                    "validated",
                    "info",
                    f"Files validated: {training.examples} examples, {training.duplicates} exact duplicates",
                    {"format": training.format, "examples": training.examples, "duplicates": training.duplicates},
                ),
                Event("queued", "info", "Job enqueued. Waiting for the pre-flight check"),
            ],
        )
        return await self._advance(job, change)

    async def _read(self, job: Job, param: FileParam, file_id: str, lost: threading.Event) -> DatasetReport:
        key = copy_of(job.id, param)

        def checkpoint() -> None:
            if lost.is_set():
                raise JobLost("The job was cancelled or taken over.")

        try:
            report = await asyncio.to_thread(lambda: validate(self.copies.lines(key), checkpoint))
        except BlobMissing as exc:
            raise InvalidFile(param, exc.detail) from exc
        if report.error_count:
            first = report.errors[0]
            await self._advance(job, _keeping(param, report))
            raise InvalidFile(
                param, f"{file_id}: {report.error_count} wrong lines; line {first.line}: {first.message}."
            )
        if not report.examples:
            raise InvalidFile(param, f"{file_id} holds no examples.")
        return report

    async def _check_before(self, job: Job) -> Job:
        assert job.dataset is not None
        found = preflight(job.wish.model, job.dataset, job.task)
        warnings = [Event(f"preflight-{item.code}", "warn", item.message) for item in found.warnings]
        suggested = found.suggestion
        told = Event(
            "preflight",
            "info",
            f"Pre-flight check: learning rate {suggested.learning_rate:g}, batch size {suggested.batch_size}, "
            f"{suggested.n_epochs} epochs, LoRA rank {suggested.lora_rank}",
            {"data_level": found.data_level},
        )
        started = Event("running", "info", "Fine-tuning job started")
        return await self._advance(job, Change(status="running", preflight=found, events=[told, *warnings, started]))

    async def _train(self, job: Job) -> Job:
        try:
            name = await self.backend.train(job)
        except TrainingUnavailable as exc:
            return await self._fail(job, exc.code, exc.detail)
        ended = Event("succeeded", "info", f"The model {name} is trained")
        return await self._advance(job, Change(status="succeeded", events=[ended]))

    async def _forget_copies(self, job: Job) -> None:
        for param in FILE_PARAMS:
            await self.copies.remove(copy_of(job.id, param))

    async def _fail(self, job: Job, code: str, message: str, param: str | None = None) -> Job:
        change = Change(
            status="failed",
            error=JobError(code=code, message=message, param=param),
            events=[Event("failed", "error", message, {"code": code})],
        )
        return await self._advance(job, change)

    async def _advance(self, job: Job, change: Change) -> Job:
        return await self.record.advance(job.id, self.owner, change, self.clock.now())

    @asynccontextmanager
    async def _lease(self, job: Job) -> AsyncIterator[threading.Event]:
        """Keep the lease while the block runs; the event is set when the job is no longer ours."""
        lost = threading.Event()

        async def keep() -> None:
            while not lost.is_set():
                await asyncio.sleep(self.lease_s / 4)
                if not await self.record.renew(job.id, self.owner, self.clock.now(), self.lease_s):
                    lost.set()

        keeper = asyncio.create_task(keep())
        try:
            yield lost
        finally:
            lost.set()
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)


def _keeping(param: str, report: DatasetReport) -> Change:
    # The report with the wrong lines stays with the job, so that its reader can mend the file.
    return Change(dataset=report) if param == "training_file" else Change(validation_dataset=report)
