"""What to say before a training begins: is there enough data, and which values fit the model."""

import re
from typing import Literal, NamedTuple, get_args

from sluice.contracts.finetune import (
    DatasetReport,
    HyperparameterSuggestion,
    Preflight,
    PreflightWarning,
    TaskKind,
)

# Handbook F208: how far so many examples carry.
_LADDER: tuple[tuple[int, Literal["proof_of_concept", "mvp", "production", "state_of_the_art"]], ...] = (
    (1_000_000, "state_of_the_art"),
    (100_000, "production"),
    (10_000, "mvp"),
    (1_000, "proof_of_concept"),
)


class TaskNeed(NamedTuple):
    """Examples that a task needs: the least, and a good number (handbook F209)."""

    least: int
    good: int


# Classification counts for each class.
TASK_NEEDS: dict[TaskKind, TaskNeed] = {
    "classification": TaskNeed(100, 1_000),
    "ner": TaskNeed(1_000, 10_000),
    "qa": TaskNeed(500, 5_000),
    "summarisation": TaskNeed(1_000, 10_000),
    "code": TaskNeed(100, 1_000),
}
_SMALL_DATA = 1_000
_SIZE = re.compile(r"(?<![a-z0-9.])(\d{1,4}(?:\.\d{1,3})?)([bm])(?![a-z0-9])")
_ASSUMED_BILLIONS = 7.0


class SizeBand(NamedTuple):
    """Values for models of up to `below` billion parameters.

    Rates are F194's, batches and epochs F195's, ranks F186's. The handbook gives the rates "by size" without borders:
    1, 10 and 50 billion are ours, the first two being F195's.
    """

    below: float
    learning_rate: float
    batch: tuple[int, int]
    epochs: tuple[int, int]
    rank: int


BANDS = (
    SizeBand(1, 5e-4, (32, 64), (3, 5), 16),
    SizeBand(10, 1e-4, (8, 16), (2, 3), 16),
    SizeBand(50, 5e-5, (1, 4), (1, 2), 32),
    SizeBand(float("inf"), 1e-5, (1, 4), (1, 2), 64),
)


def model_billions(model: str) -> float | None:
    """Return the size that a model's name tells, such as 7 for `llama-7b` and 0.135 for `smollm2-135m`, else None."""
    match = _SIZE.search(model.lower().replace("_", "-"))
    if match is None:
        return None
    size = float(match.group(1))
    return size if match.group(2) == "b" else size / 1000


def suggest(model: str, examples: int, task: str | None) -> HyperparameterSuggestion:
    """Return values for a model and a data set; small data takes more epochs, smaller batches and half the rate."""
    billions = model_billions(model)
    band = next(band for band in BANDS if (billions or _ASSUMED_BILLIONS) < band.below)
    reasons = [
        f"{billions:g} billion parameters, by the model's name"
        if billions is not None
        else f"the model's name tells no size; {_ASSUMED_BILLIONS:g} billion parameters were assumed"
    ]
    rate = band.learning_rate
    if task == "instruction_following":
        rate *= 0.5
        reasons.append("instruction following: half the learning rate")
    elif task == "domain_adaptation":
        rate *= 2
        reasons.append("domain adaptation: twice the learning rate")
    small = examples < _SMALL_DATA
    if small:
        rate *= 0.5
        reasons.append(f"fewer than {_SMALL_DATA} examples: half the learning rate, the smaller batch, the most epochs")
    return HyperparameterSuggestion(
        model_billions=billions,
        learning_rate=rate,
        batch_size=max(1, min(band.batch[0] if small else band.batch[1], examples)),
        n_epochs=band.epochs[1] if small else band.epochs[0],
        lora_rank=band.rank,
        lora_alpha=2 * band.rank,
        reasons=tuple(reasons),
    )


def preflight(model: str, report: DatasetReport, task: str | None) -> Preflight:
    """Return the level of the data, what to think about, and the suggested values."""
    level = next((name for least, name in _LADDER if report.examples >= least), "below_proof_of_concept")
    warnings: list[PreflightWarning] = []
    if level == "below_proof_of_concept":
        warnings.append(
            _warning("few_examples", f"{report.examples} examples are fewer than the 1,000 of a proof of concept")
        )
    if report.duplicates:
        warnings.append(_warning("duplicates", f"{report.duplicates} examples repeat an earlier one exactly"))
    if task is not None:
        warnings.extend(_task_warnings(task, report))
    return Preflight(
        examples=report.examples,
        data_level=level,
        warnings=tuple(warnings),
        suggestion=suggest(model, report.examples, task),
    )


def _task_warnings(task: str, report: DatasetReport) -> list[PreflightWarning]:
    need = next((need for kind, need in TASK_NEEDS.items() if kind == task), None)
    if need is None:
        known = ", ".join((*get_args(TaskKind), "instruction_following", "domain_adaptation"))
        known_task = task in ("instruction_following", "domain_adaptation")
        return (
            [] if known_task else [_warning("unknown_task", f"nothing is known of the task {task!r}; known: {known}")]
        )
    count, unit = report.examples, "examples"
    if task == "classification":
        if report.smallest_class is None:
            return [_warning("no_classes", "the outputs are not a small set of classes")]
        count, unit = report.smallest_class, "examples in the smallest class"
    if count < need.least:
        return [_warning("task_needs_more", f"{task}: {count} {unit}; at least {need.least} are needed")]
    if count < need.good:
        return [_warning("task_could_use_more", f"{task}: {count} {unit}; {need.good} are a good number")]
    return []


def _warning(code: str, message: str) -> PreflightWarning:
    return PreflightWarning(code=code, message=message[0].upper() + message[1:] + ".")
