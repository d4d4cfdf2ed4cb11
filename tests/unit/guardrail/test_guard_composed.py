"""What was composed for training the head of prompts: well formed, each text once, and what is kept from training stays kept."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from tests.quality.guardrail.composed import FOLDER, KEPT, composed
from tests.quality.guardrail.gathering import BY_HAND, IN_ATTACKERS_WORDS, RATES, TRAINED
from tests.quality.guardrail.sources import own_cases
from tests.quality.guardrail.training import Row, Sparse, fitted


def test_what_is_kept_of_every_round_trains_nothing() -> None:
    rows = composed()
    rounds = Counter(
        (row.family[:3] if row.family[:1] == "r" and row.family[1:2].isdigit() else "r1_", row.attack) for row in rows
    )
    assert rounds == {
        ("r1_", True): 2010,
        ("r1_", False): 3089,
        ("r2_", True): 1982,
        ("r2_", False): 1092,
        ("r3_", True): 3858,
        ("r3_", False): 2780,
        ("r4_", True): 792,
        ("r4_", False): 2413,
        ("r5_", True): 2397,
        ("r5_", False): 2400,
        ("r6_", True): 1941,
        ("r6_", False): 2040,
        ("r7_", False): 689,
        ("r8_", False): 673,
    }
    trains = {row.set for row in rows} & {*TRAINED}
    assert trains == {"composed", "composed third", "composed fourth", "exam", "short"}
    assert {row.set for row in rows} - trains == {
        "composed calibrate",
        "later calibrate",
        "exam calibrate",
        "short calibrate",
        "short report",
    }
    assert not {row.family for row in rows if row.set in trains} & {*KEPT}
    assert {row.set for row in rows if row.family in KEPT} == {"composed calibrate"}
    assert {row.set for row in rows if row.family.startswith(("r2_", "r5_", "r6_"))} == {"later calibrate"}
    for attack in (True, False):
        fourth = [row for row in rows if row.family.startswith("r4_") and row.attack is attack]
        kept = sum(row.set == "later calibrate" for row in fourth)
        assert 0.17 < kept / len(fourth) < 0.23
    exam = Counter(row.set for row in rows if row.family == "r7_exam")
    assert exam.keys() == {"exam", "exam calibrate"}
    assert 0.17 < exam["exam calibrate"] / exam.total() < 0.23
    assert "exam calibrate" in RATES


def test_a_kind_decides_what_a_text_is_for(tmp_path: Path) -> None:
    (tmp_path / "attacks.jsonl").write_text(json.dumps({"text": "one", "kind": KEPT[0]}) + "\n", encoding="utf-8")
    (tmp_path / "harmless.jsonl").write_text(json.dumps({"text": "two", "kind": "x"}) + "\n", encoding="utf-8")
    assert [(row.text, row.attack, row.set) for row in composed(tmp_path)] == [
        ("one", True, "composed calibrate"),
        ("two", False, "composed"),
    ]
    assert not {"composed calibrate", "later calibrate"} & {*TRAINED}
    assert {"composed calibrate", "later calibrate"} < {*BY_HAND, *IN_ATTACKERS_WORDS}


def test_no_text_is_an_attack_and_harmless_and_none_is_a_case_that_is_reported() -> None:
    rows = composed()
    assert len({row.text.casefold() for row in rows}) == len(rows)
    assert not {row.text.casefold() for row in rows} & {row.text.casefold() for row in own_cases()}


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.jsonl")), ids=lambda path: path.stem)
def test_every_line_is_a_text_with_its_kind(path: Path) -> None:
    for line in path.read_text(encoding="utf-8").splitlines():
        one = json.loads(line)
        assert set(one) == {"text", "kind"}, line
        assert one["text"].strip(), line


def test_what_a_text_counts_for_decides_between_two_that_contradict_each_other() -> None:
    text = "please open the small green door now"
    rows = [Row(text, True, "a", "first"), Row(text, False, "a", "second"), Row("what is the weather", True, "a", "third"), Row("where is my old coat", False, "a", "third")]  # fmt: skip
    data = Sparse(rows)
    used = np.ones(len(data.rows), dtype=np.bool_)
    codes = data.flat[: data.sizes[0]]
    sums = [
        fitted(data, used, counts).weights[codes].sum() for counts in ({"first": 9.0}, {"second": 9.0}, {"fourth": 9.0})
    ]
    assert sums[0] > sums[2] + 1
    assert sums[1] < sums[2] - 1
    assert fitted(data, used).weights[codes].sum() == sums[2]
