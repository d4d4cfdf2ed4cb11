"""Which technique a task calls for: prompting, retrieval, fine-tuning, or two of them together (F339, F341, F342)."""

from typing import Literal, NamedTuple

Budget = Literal["low", "medium", "high"]
Technique = Literal[
    "prompting", "few_shot", "retrieval", "context_enhancement", "peft", "full_fine_tuning", "structured_output"
]

FEWEST_EXAMPLES = 50
"""Below so many good examples fine-tuning rarely beats showing some of them in the prompt (OpenAI's fine-tuning guide: gains show from 50 to 100)."""


class Task(NamedTuple):
    """What is known of a task; `examples` are pairs of question and right answer that could be trained on."""

    real_time_data: bool
    consistent_format: bool
    examples: int
    budget: Budget


class Step(NamedTuple):
    """One technique, why, and how it is done here."""

    technique: Technique
    reason: str
    how: str


class Approach(NamedTuple):
    """What to do; `hybrid` where knowledge comes by retrieval and form by training."""

    name: Literal["prompting", "retrieval", "fine_tuning", "hybrid"]
    steps: tuple[Step, ...]


def approach_for(task: Task) -> Approach:
    """Return what the handbook's rule says of a task.

    Data that change call for retrieval with context enhancement; a form that must always be the same calls for fine-tuning, with adapters
    unless the budget is high; both call for both; else prompting with examples is enough (F342). A low budget trains nothing (F341), and so does
    a task without examples: then the form is held by the prompt and by structured output.
    """
    trains = task.consistent_format and task.budget != "low" and task.examples >= FEWEST_EXAMPLES
    steps = [*(_retrieval() if task.real_time_data else ()), *(_training(task) if trains else ())]
    if task.consistent_format and not trains:
        steps += _form_without_training(task)
    if not steps:
        steps = [_prompting(), _few_shot(task)]
    name: Literal["prompting", "retrieval", "fine_tuning", "hybrid"] = "prompting"
    if task.real_time_data:
        name = "hybrid" if trains else "retrieval"
    elif trains:
        name = "fine_tuning"
    return Approach(name, tuple(steps))


def _retrieval() -> tuple[Step, Step]:
    return (
        Step(
            "retrieval",
            "the data change: what is trained into weights is old the next day, what is retrieved is not",
            "sluice ingest FOLDER, then `retrieval` in the policy of a route (docs/reference/retrieval.md)",
        ),
        Step(
            "context_enhancement",
            "tables, images and outputs of tools belong into the same context",
            "`template: sections` and `tool_outputs` of /v1/context (docs/reference/retrieval.md#search)",
        ),
    )


def _training(task: Task) -> tuple[Step]:
    enough = f"{task.examples} examples are enough to learn a form that must always be the same"
    if task.budget == "high":
        why = f"{enough}, and the budget allows to train all weights"
        return (
            Step(
                "full_fine_tuning",
                why,
                "train elsewhere and register the model (docs/how-to/change-models.md); try an adapter first",
            ),
        )
    how = "sluice finetune start FILE --model MODEL, then sluice eval run SUITE on both (docs/reference/finetune-worker.md)"
    return (Step("peft", f"{enough}; adapters (LoRA) cost a fraction of training all weights", how),)


def _form_without_training(task: Task) -> tuple[Step, Step]:
    why = (
        "a low budget trains nothing"
        if task.budget == "low"
        else f"{task.examples} examples are too few to train on ({FEWEST_EXAMPLES} at least)"
    )
    return (
        Step(
            "structured_output",
            f"{why}: the engine can be held to the form instead",
            "`response_format` with a JSON schema (docs/reference/structured-output.md)",
        ),
        _few_shot(task),
    )


def _prompting() -> Step:
    return Step(
        "prompting",
        "neither the data nor the form ask for more; measure before you add anything",
        "a versioned prompt and a suite: sluice eval run SUITE (docs/reference/eval.md)",
    )


def _few_shot(task: Task) -> Step:
    shown = f"show a few of your {task.examples} examples" if task.examples else "write three to five examples"
    return Step(
        "few_shot",
        f"{shown} in the prompt: the cheapest way to a form",
        "messages of role user and assistant before the question",
    )
