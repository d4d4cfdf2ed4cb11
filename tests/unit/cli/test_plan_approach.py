"""`sluice plan approach`: the handbook's rule, by all that it asks."""

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from sluice_cli.app import app


def planned(*words: str) -> dict[str, Any]:
    found = CliRunner().invoke(app, ["plan", "approach", *words, "--json"])
    assert found.exit_code == 0, found.output
    said: dict[str, Any] = json.loads(found.output)
    return said


@pytest.mark.parametrize(
    ("words", "name", "techniques"),
    [
        ("", "prompting", ["prompting", "few_shot"]),
        ("--real-time-data", "retrieval", ["retrieval", "context_enhancement"]),
        ("--consistent-format --examples 50", "fine_tuning", ["peft"]),
        ("--consistent-format --examples 5000 --budget high", "fine_tuning", ["full_fine_tuning"]),
        ("--consistent-format --examples 5000 --budget low", "prompting", ["structured_output", "few_shot"]),
        ("--consistent-format --examples 49", "prompting", ["structured_output", "few_shot"]),
        ("--real-time-data --consistent-format --examples 80", "hybrid", ["retrieval", "context_enhancement", "peft"]),
        (
            "--real-time-data --consistent-format --budget low",
            "retrieval",
            ["retrieval", "context_enhancement", "structured_output", "few_shot"],
        ),
    ],
)
def test_a_task_gets_the_technique_of_the_rule(words: str, name: str, techniques: list[str]) -> None:
    found = planned(*words.split())
    assert found["approach"] == name
    assert [one["technique"] for one in found["steps"]] == techniques
    assert all(one["reason"] and one["how"] for one in found["steps"])


def test_reasons_tell_what_was_said_of_the_task() -> None:
    shown = CliRunner().invoke(app, ["plan", "approach", "--consistent-format", "--examples", "12"])
    assert "12 examples are too few to train on (50 at least)" in shown.output
    refused = CliRunner().invoke(app, ["plan", "approach", "--budget", "huge"])
    assert refused.exit_code != 0
