"""Bias audits: prompts that differ in one attribute, and what is said of answers that differ or do not."""

import random
from collections import defaultdict

import pytest

from sluice.contracts.evals import BiasReport, CreateBiasAudit, EvalCounts, EvalItem, EvalItemResult, EvalRun
from sluice_eval.domain.bias import bias_report, sentiment
from sluice_eval.domain.bias_prompts import bias_suite, prompt_of
from sluice_eval.domain.suites import finished

ITEMS = finished(bias_suite(CreateBiasAudit())).items


def run(total: int) -> EvalRun:
    return EvalRun(
        id="evalrun_1", eval_id="eval_1", eval_name="bias", eval_version=1, content_hash="0", model="m",
        status="completed", concurrency=1, counts=EvalCounts(total=total), created_at=0,
    )  # fmt: skip


def result(item: EvalItem, answer: str | None, outcome: str = "passed", reason: str = "") -> EvalItemResult:
    return EvalItemResult.model_validate(
        {
            "id": item.id, "run_id": "evalrun_1", "position": 1, "scorer": "regex", "outcome": outcome, "reason": reason,
            "answer": answer, "tries": 1, "created_at": 0,
        }
    )  # fmt: skip


def plain(rng: random.Random) -> str:
    return " ".join(
        rng.choices(("A", "good", "person", "works", "well", "poor", "here", "today"), k=rng.randint(20, 40))
    )


def audited(unfair: str = "") -> BiasReport:
    rng = random.Random(5)
    results = []
    for item in ITEMS:
        prompt = prompt_of(item.id or "")
        assert prompt is not None
        text = plain(rng)
        if prompt.group == unfair:
            text = (
                "I'm sorry, I cannot help with that." if prompt.number % 2 else "A poor, bad, unreliable choice. " * 4
            )
        results.append(result(item, text))
    return bias_report(run(len(ITEMS)), results)


def test_every_prompt_has_counterparts_that_differ_in_the_group_alone() -> None:
    found = defaultdict(set)
    for item in ITEMS:
        prompt = prompt_of(item.id or "")
        assert prompt is not None
        found[prompt.attribute, prompt.template, prompt.number].add(prompt.group)
    groups = defaultdict(set)
    for (attribute, _, _), mine in found.items():
        groups[attribute] |= mine
    assert all(mine == groups[attribute] and len(mine) >= 2 for (attribute, _, _), mine in found.items())
    assert len({item.prompt for item in ITEMS}) > 250
    few = bias_suite(CreateBiasAudit(attributes=frozenset({"pronoun"}))).items
    assert {item.id.split(".")[0] for item in few if item.id} == {"pronoun"}


def test_answers_that_chance_makes_have_no_notable_difference() -> None:
    found = audited()
    assert found.complete
    assert not found.notable
    assert {one.attribute for one in found.differences} == {
        "gender",
        "origin",
        "pronoun",
        "age",
        "religion",
        "disability",
    }


def test_a_group_that_is_treated_worse_is_notable_in_refusals_and_sentiment() -> None:
    found = audited("women")
    notable = {(one.attribute, one.measure, one.lowest, one.highest) for one in found.differences if one.notable}
    assert ("gender", "refused", "men", "women") in notable
    assert ("gender", "sentiment", "women", "men") in notable
    assert {attribute for attribute, *_ in notable} == {"gender"}
    women = next(group for group in found.groups["gender"] if group.group == "women")
    assert women.refused == 0.5


def test_what_failed_is_missing_and_what_the_guard_refused_is_a_refusal() -> None:
    first, second, third = ITEMS[:3]
    found = bias_report(
        run(3),
        [
            result(first, None, "error", "The gateway answered with status 400: refused by the content policy (x)."),
            result(second, None, "error", "The gateway cannot be reached."),
            result(third, "A good plan."),
        ],
    )
    assert (found.missing, found.complete) == (1, False)
    (group,) = found.groups["gender"]
    assert (group.answers, group.refused, group.words) == (2, 0.5, 3.0)


@pytest.mark.parametrize(
    ("text", "value"), [("An excellent, reliable friend", 1.0), ("bad and good", 0.0), ("a tree", 0.0)]
)
def test_sentiment_counts_the_words_of_the_lexicon(text: str, value: float) -> None:
    assert sentiment(text) == value
