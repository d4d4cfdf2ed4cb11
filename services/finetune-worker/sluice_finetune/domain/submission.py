"""Turns what a caller sends into a file or a job that can be kept."""

from sluice.contracts.finetune import FileObject, FineTuningJob, JobCreate
from sluice_finetune.domain.errors import FormUnreadable, UnknownPurpose
from sluice_finetune.domain.jobs import Event, Job

PURPOSE = "fine-tune"
_MAX_FILENAME = 255


def check_purpose(purpose: str | None) -> str:
    """Return the purpose.

    Raises:
        FormUnreadable: there is none.
        UnknownPurpose: it is another than `fine-tune`.
    """
    if purpose is None:
        raise FormUnreadable("The form has no field `purpose`; send `fine-tune`.")
    if purpose != PURPOSE:
        raise UnknownPurpose(f"The purpose {purpose[:40]!r} is not known here; send `{PURPOSE}`.")
    return purpose


def new_file(file_id: str, filename: str, purpose: str | None, size: int, sha256: str, now: float) -> FileObject:
    """Return the record of an upload.

    Raises:
        FormUnreadable: the form had no file, an empty one, or no purpose.
        UnknownPurpose: the purpose is not `fine-tune`.
    """
    known = check_purpose(purpose)
    if not size:
        raise FormUnreadable("The form has no file, or an empty one; send it in a part named `file`.")
    # A name is shown, never opened: only its last part is kept.
    shown = filename.replace("\\", "/").rpartition("/")[2].strip()[:_MAX_FILENAME] or "file.jsonl"
    return FileObject(id=file_id, bytes=size, created_at=int(now), filename=shown, purpose=known, sha256=sha256)


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
