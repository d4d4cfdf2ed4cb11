"""Fine-tuning jobs in OpenAI's shapes, with Sluice's reports as further fields."""

from typing import Annotated, Any, Literal

from pydantic import Field

from sluice.contracts.base import Metadata, Reply, Request

DatasetFormat = Literal["openai_chat", "alpaca", "sharegpt"]
JobStatus = Literal["validating_files", "queued", "running", "succeeded", "failed", "cancelled"]
EventLevel = Literal["info", "warn", "error"]
TaskKind = Literal["classification", "ner", "qa", "summarisation", "code"]
MAX_LINE_ERRORS = 100


class LineError(Reply):
    """What is wrong with one line of a data set; lines count from 1."""

    line: int
    message: str


class LengthStatistics(Reply):
    """Lengths in characters (handbook F225, F226); `std` is the population's standard deviation."""

    mean: float
    min: int
    max: int
    median: float
    std: float


class DatasetReport(Reply):
    """What a training file holds.

    `duplicates` counts examples that repeat an earlier one exactly (SHA-256 of input and output, handbook F228).
    `errors` names the first wrong lines; `error_count` counts all of them. `smallest_class` is the size of the smallest
    group of equal outputs where there are few of them, as in classification.
    """

    format: DatasetFormat | None
    lines: int
    examples: int
    error_count: int
    errors: tuple[LineError, ...] = ()
    duplicates: int
    input_length: LengthStatistics | None = None
    output_length: LengthStatistics | None = None
    distinct_outputs: int | None = None
    smallest_class: int | None = None


class CheckCompliance(Request):
    """What a training file must keep to: a guard `policy` says what is looked for, `forbid` which of its issues must not occur.

    `licenses` are those that may stand in a line's `license` (or in its `metadata`), compared without regard to case; empty: any, and none.
    At most `max_examples` texts are read, drawn evenly from the file; licences of all lines are.
    """

    policy: Annotated[str, Field(max_length=100)] = "default"
    forbid: Annotated[frozenset[Annotated[str, Field(max_length=40)]], Field(max_length=40)] = frozenset(
        {"pii_detected", "secret_detected", "unsafe_content", "high_toxicity", "check_failed"}
    )
    licenses: Annotated[frozenset[Annotated[str, Field(min_length=1, max_length=100)]], Field(max_length=100)] = (
        frozenset()
    )
    max_examples: Annotated[int, Field(ge=1, le=20_000)] = 2000


class ComplianceFinding(Reply):
    """A line that was found to hold something: the guard's issues, findings by kind, and its licence if that is not allowed; never the text."""

    line: int
    issues: tuple[str, ...] = ()
    kinds: dict[str, int] = Field(default_factory=dict)
    license: str | None = None
    license_allowed: bool = True


class ComplianceReport(Reply):
    """Whether a training file keeps to a policy and to licences (handbook F204).

    `issues` counts examples by issue, `kinds` findings by kind, `licenses` lines by licence ("none": those without one), `not_allowed`
    lines whose licence is not among the allowed ones. `findings` names the first 200 lines that hold something; `unreadable` lines were not checked.
    """

    object: Literal["file.compliance"] = "file.compliance"
    file_id: str
    policy: str
    compliant: bool
    lines: int
    examples: int
    checked: int
    unreadable: int
    issues: dict[str, int]
    kinds: dict[str, int]
    licenses: dict[str, int]
    not_allowed: int
    findings: tuple[ComplianceFinding, ...] = ()


class PreflightWarning(Reply):
    """Something to think about before training; it does not stop the job."""

    code: str
    message: str


class HyperparameterSuggestion(Reply):
    """Values by the size of the model and of the data (handbook F186, F194, F195), and why."""

    model_billions: float | None
    learning_rate: float
    batch_size: int
    n_epochs: int
    lora_rank: int
    lora_alpha: int
    reasons: tuple[str, ...] = ()


class Preflight(Reply):
    """What was found before training could begin."""

    examples: int
    data_level: Literal["below_proof_of_concept", "proof_of_concept", "mvp", "production", "state_of_the_art"]
    warnings: tuple[PreflightWarning, ...] = ()
    suggestion: HyperparameterSuggestion


class Hyperparameters(Reply):
    """OpenAI's hyperparameters; `auto` takes the suggestion of the pre-flight check."""

    n_epochs: Literal["auto"] | Annotated[int, Field(ge=1, le=50)] = "auto"
    batch_size: Literal["auto"] | Annotated[int, Field(ge=1, le=256)] = "auto"
    learning_rate_multiplier: Literal["auto"] | Annotated[float, Field(gt=0, le=1000)] = "auto"


class JobCreate(Reply):
    """A wish for a job; unknown fields are left alone, as on OpenAI's API.

    `metadata.task` (classification, ner, qa, summarisation, code, instruction_following, domain_adaptation) lets the
    pre-flight check say more.
    """

    model: Annotated[str, Field(min_length=1, max_length=200)]
    training_file: Annotated[str, Field(min_length=1, max_length=64)]
    validation_file: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    suffix: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    method: dict[str, Any] | None = None
    hyperparameters: Hyperparameters | None = None
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = None
    metadata: Metadata | None = None


class JobError(Reply):
    """Why a job failed."""

    code: str
    message: str
    param: str | None = None


class FineTuningJob(Reply):
    """A fine-tuning job (OpenAI's shape; `dataset`, `validation_dataset` and `preflight` are ours)."""

    id: str
    object: Literal["fine_tuning.job"] = "fine_tuning.job"
    created_at: int
    finished_at: int | None = None
    model: str
    fine_tuned_model: str | None = None
    organization_id: str
    status: JobStatus
    training_file: str
    validation_file: str | None = None
    result_files: tuple[str, ...] = ()
    trained_tokens: int | None = None
    estimated_finish: int | None = None
    hyperparameters: Hyperparameters
    method: dict[str, Any] | None = None
    suffix: str | None = None
    seed: int
    metadata: dict[str, str] | None = None
    error: JobError | None = None
    dataset: DatasetReport | None = None
    validation_dataset: DatasetReport | None = None
    preflight: Preflight | None = None


class JobEvent(Reply):
    """Something that happened to a job."""

    id: str
    object: Literal["fine_tuning.job.event"] = "fine_tuning.job.event"
    created_at: int
    level: EventLevel
    message: str
    type: Literal["message"] = "message"
    data: dict[str, Any] | None = None
