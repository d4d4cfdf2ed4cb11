"""What a job is, what may happen to it, and the ports that its runner needs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

from sluice.contracts.finetune import (
    DatasetReport,
    EventLevel,
    Hyperparameters,
    JobCreate,
    JobError,
    JobStatus,
    Preflight,
)
from sluice_finetune.domain.validation import LineTooLong

FileParam = Literal["training_file", "validation_file"]
FILE_PARAMS: Final[tuple[FileParam, ...]] = ("training_file", "validation_file")
ENDED: Final[frozenset[JobStatus]] = frozenset({"succeeded", "failed", "cancelled"})


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it is stored."""

    id: str
    tenant: str
    status: JobStatus
    wish: JobCreate
    seed: int
    created_at: int
    finished_at: int | None = None
    error: JobError | None = None
    dataset: DatasetReport | None = None
    validation_dataset: DatasetReport | None = None
    preflight: Preflight | None = None
    attempts: int = 0

    @property
    def task(self) -> str | None:
        """What the model shall learn to do, as far as the caller said."""
        return (self.wish.metadata or {}).get("task")

    @property
    def hyperparameters(self) -> Hyperparameters:
        """The wished values; what is `auto` becomes known with the pre-flight check."""
        wished = self.wish.hyperparameters or Hyperparameters()
        if self.preflight is None:
            return wished
        suggested = self.preflight.suggestion
        return Hyperparameters(
            n_epochs=suggested.n_epochs if wished.n_epochs == "auto" else wished.n_epochs,
            batch_size=suggested.batch_size if wished.batch_size == "auto" else wished.batch_size,
            learning_rate_multiplier=1.0
            if wished.learning_rate_multiplier == "auto"
            else wished.learning_rate_multiplier,
        )


@dataclass(frozen=True, slots=True)
class Event:
    """Something to tell; `key` makes it happen once in a job's life, however often the work is repeated."""

    key: str
    level: EventLevel
    message: str
    data: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A step of a job: what is not None is set, and the events are told in the same transaction."""

    status: JobStatus | None = None
    error: JobError | None = None
    dataset: DatasetReport | None = None
    validation_dataset: DatasetReport | None = None
    preflight: Preflight | None = None
    events: Sequence[Event] = field(default_factory=tuple)


class JobRecord(Protocol):
    """Where jobs are kept. A worker owns a job while it holds the lease; without it no change is taken."""

    async def claim(self, tenant: str, job_id: str, owner: str, now: float, lease_s: float) -> Job | None:
        """Take the lease and return the job, or None if it has ended, is gone, or another worker holds it."""
        ...

    async def renew(self, job_id: str, owner: str, now: float, lease_s: float) -> bool:
        """Keep the lease; False if the job has ended or is no longer ours."""
        ...

    async def advance(self, job_id: str, owner: str, change: Change, now: float) -> Job:
        """Make a step.

        Raises:
            JobLost: the job has ended (cancelled) or is no longer ours; nothing was changed.
        """
        ...


def copy_of(job_id: str, param: FileParam) -> str:
    """Return the key of a job's own copy of a file."""
    return f"{job_id}.{param}"


def job_of_copy(key: str) -> str:
    """Return the job to which a copy belongs."""
    return key.partition(".")[0]


class CopyReader(Protocol):
    """Reads and removes a job's own copies of its files."""

    def lines(self, key: str) -> Iterator[bytes | LineTooLong]:
        """Yield the lines without reading the whole; blocks, so it is called from a thread.

        Raises:
            BlobMissing: the content is not there.
        """
        ...

    async def remove(self, key: str) -> None:
        """Remove a copy; one that is gone already is no error."""
        ...


class TrainingBackend(Protocol):
    """Trains a model.

    An installation without one says so (`TrainingUnavailable`): the job then fails with that code, after everything
    that can be checked without training was checked.
    """

    async def train(self, job: Job) -> str:
        """Train and return the name of the new model.

        Raises:
            TrainingUnavailable: there is nothing here that can train.
        """
        ...
