"""Turns what a caller sends into a job that can be kept."""

from sluice.contracts.files import FileObject
from sluice.contracts.finetune import FineTuningJob, JobCreate
from sluice_finetune.domain.errors import UnsuitableFile
from sluice_finetune.domain.jobs import Event, Job

PURPOSE = "fine-tune"


def check_file(file: FileObject, max_bytes: int) -> None:
    """Raise UnsuitableFile if a file cannot be a training file."""
    if file.purpose != PURPOSE:
        raise UnsuitableFile(f"The file {file.id} has the purpose `{file.purpose}`; upload it with `{PURPOSE}`.")
    if file.bytes > max_bytes:
        raise UnsuitableFile(
            f"A training file may have {max_bytes} bytes. Send less, or have SLUICE_FINETUNE_MAX_FILE_BYTES raised."
        )


def new_job(job_id: str, tenant: str, wish: JobCreate, seed: int, now: float) -> Job:
    """Return a job in its first state; `seed` is taken where the wish names none."""
    return Job(
        id=job_id,
        tenant=tenant,
        status="validating_files",
        wish=wish,
        seed=seed if wish.seed is None else wish.seed,
        created_at=int(now),
    )


def created(job: Job) -> Event:
    """Return a job's first event."""
    return Event("created", "info", f"Created fine-tuning job: {job.id}")


def shown(job: Job) -> FineTuningJob:
    """Return a job as the API answers it."""
    return FineTuningJob(
        id=job.id,
        created_at=job.created_at,
        finished_at=job.finished_at,
        model=job.wish.model,
        organization_id=job.tenant,
        status=job.status,
        training_file=job.wish.training_file,
        validation_file=job.wish.validation_file,
        hyperparameters=job.hyperparameters,
        method=job.wish.method,
        suffix=job.wish.suffix,
        seed=job.seed,
        metadata=job.wish.metadata,
        error=job.error,
        dataset=job.dataset,
        validation_dataset=job.validation_dataset,
        preflight=job.preflight,
    )
