"""The pre-flight check: levels, task needs and suggested values of the handbook's tables."""

import pytest

from sluice.contracts.finetune import DatasetReport
from sluice_finetune.domain.preflight import model_billions, preflight, suggest


def report(examples: int, *, duplicates: int = 0, smallest_class: int | None = None) -> DatasetReport:
    return DatasetReport(
        format="openai_chat",
        lines=examples,
        examples=examples,
        error_count=0,
        duplicates=duplicates,
        smallest_class=smallest_class,
    )


@pytest.mark.parametrize(
    ("model", "billions"),
    [("smollm2-135m", 0.135), ("Llama-3.1-8B-Instruct", 8), ("qwen2.5-0.5b", 0.5), ("mixtral_8x7b", None),
     ("gpt-4o", None), ("smollm2", None), ("llama-2-70b-chat", 70), ("model-4bit", None)],
)  # fmt: skip
def test_the_size_is_read_from_the_name_or_not_at_all(model: str, billions: float | None) -> None:
    assert model_billions(model) == billions


@pytest.mark.parametrize(
    ("model", "examples", "task", "rate", "batch", "epochs", "rank"),
    [
        ("smollm2-135m", 500, None, 2.5e-4, 32, 5, 16),
        ("smollm2-135m", 5000, None, 5e-4, 64, 3, 16),
        ("llama-7b", 5000, None, 1e-4, 16, 2, 16),
        ("llama-7b", 5000, "instruction_following", 5e-5, 16, 2, 16),
        ("llama-7b", 5000, "domain_adaptation", 2e-4, 16, 2, 16),
        ("llama-7b", 999, "instruction_following", 2.5e-5, 8, 3, 16),
        ("llama-13b", 5000, None, 5e-5, 4, 1, 32),
        ("llama-70b", 5000, None, 1e-5, 4, 1, 64),
        ("llama-70b", 2, None, 5e-6, 1, 2, 64),
    ],
)
def test_values_follow_size_data_and_task(
    model: str, examples: int, task: str | None, rate: float, batch: int, epochs: int, rank: int
) -> None:
    found = suggest(model, examples, task)
    assert found.learning_rate == pytest.approx(rate)
    assert (found.batch_size, found.n_epochs, found.lora_rank, found.lora_alpha) == (batch, epochs, rank, 2 * rank)


def test_an_unknown_size_is_said() -> None:
    found = suggest("mystery", 5000, None)
    assert found.model_billions is None
    assert "tells no size" in found.reasons[0]


@pytest.mark.parametrize(
    ("examples", "level"),
    [(999, "below_proof_of_concept"), (1000, "proof_of_concept"), (10_000, "mvp"), (100_000, "production"),
     (1_000_000, "state_of_the_art")],
)  # fmt: skip
def test_the_ladder_names_how_far_the_data_carries(examples: int, level: str) -> None:
    assert preflight("m", report(examples), None).data_level == level


@pytest.mark.parametrize(
    ("task", "examples", "smallest", "codes"),
    [
        ("qa", 499, None, ["few_examples", "task_needs_more"]),
        ("qa", 4999, None, ["task_could_use_more"]),
        ("qa", 5000, None, []),
        ("classification", 5000, 99, ["task_needs_more"]),
        ("classification", 5000, 1000, []),
        ("classification", 5000, None, ["no_classes"]),
        ("juggling", 5000, None, ["unknown_task"]),
        ("instruction_following", 5000, None, []),
        (None, 5000, None, []),
    ],
)
def test_tasks_warn_below_their_needs(task: str | None, examples: int, smallest: int | None, codes: list[str]) -> None:
    found = preflight("llama-7b", report(examples, smallest_class=smallest), task)
    assert [warning.code for warning in found.warnings] == codes


def test_duplicates_are_warned_of() -> None:
    (warning,) = preflight("m", report(5000, duplicates=3), None).warnings
    assert warning.message == "3 examples repeat an earlier one exactly."
