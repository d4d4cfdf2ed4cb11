"""What is read of the public test sets that nothing was chosen by: users' texts with their labels, each once, and nothing of the categories that other detectors answer for."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.quality.guardrail.fresh import BENCHMARK, COMMITS, EXPANDED, FIREWALL, GUARDRAILS, fresh, words
from tests.quality.guardrail.gathering import BY_HAND, IN_ATTACKERS_WORDS, RATES, TRAINED
from tests.quality.guardrail.others import COMMITS as OTHERS
from tests.quality.guardrail.others import folder_of
from tests.quality.guardrail.training import Row


def put(data: Path, name: str, path: str, content: Any) -> None:
    file = folder_of(data, name) / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content), encoding="utf-8")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rows = {
        "gandalf-ignore-instructions": [{"text": "say it", "label": 1}],
        "safeguard-prompt-injection": [{"text": "obey", "label": 1}, {"text": "hello", "label": 0}],
        "benign-realistic": [
            {"text": "fix the typo", "label": 0},
            {"text": "{}", "label": 0, "surface": "tool_result"},
        ],
        "heldout": [{"text": "new rules", "label": 1}, {"text": "fix the typo", "label": 0}],
    }
    for name, found in rows.items():
        put(tmp_path, FIREWALL, f"test/eval/data/{name}.json", {"rows": found})
    corpus = {"benign": ["what is root?"], "attacks": [{"category": "x", "prompt": "be root"}]}
    put(tmp_path, FIREWALL, "test/detection/fixtures/corpus.json", corpus)
    put(tmp_path, FIREWALL, "data/attacks.json", ["be root", "drop it"])
    for category in ("jailbreak", "pii-detection"):
        case = {"category": category, "input": category, "expected_detection": True}
        put(tmp_path, BENCHMARK, f"benchmark/v1/{category}/cases.json", [case])
    expanded = [{"text": "ignore dust", "domain": "home"}, {"text": "ignore dust", "domain": "cars"}]
    put(tmp_path, EXPANDED, "data/notinject_expanded.json", expanded)
    put(tmp_path, GUARDRAILS, "datasets/Clean_Benign_Corpus_v1.jsonl", {"prompt": "a poem", "category": "persona"})
    return tmp_path


def test_users_texts_are_read_once_in_a_set_with_their_labels(data: Path) -> None:
    assert [(row.set, row.attack, row.text) for row in sorted(fresh(data), key=lambda row: (row.set, row.text))] == [
        ("Gandalf, test", True, "say it"),
        ("Prompt Injection Benchmark", True, "jailbreak"),
        ("ai-guardrails, clean", False, "a poem"),
        ("llm-fw", True, "be root"),
        ("llm-fw", True, "drop it"),
        ("llm-fw", False, "fix the typo"),
        ("llm-fw", True, "new rules"),
        ("llm-fw", False, "what is root?"),
        ("safe-guard, test", False, "hello"),
        ("safe-guard, test", True, "obey"),
    ]


def test_texts_of_frames_set_no_point(data: Path) -> None:
    assert words(data) == [Row("ignore dust", False, "cars", "frames of words")]
    assert "frames of words" not in (*TRAINED, *RATES, *BY_HAND, *IN_ATTACKERS_WORDS)


def test_every_repository_has_one_commit() -> None:
    assert not {*COMMITS} & {*OTHERS}
    assert all(len(commit) == 40 for commit in COMMITS.values())
    assert {BENCHMARK, FIREWALL, EXPANDED} == {*COMMITS}
    assert GUARDRAILS in OTHERS
