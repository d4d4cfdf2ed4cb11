"""What was composed for training the head of prompts: well formed, each text once, and what is kept from training stays kept."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from tests.quality.guardrail.composed import FOLDER, KEPT, composed
from tests.quality.guardrail.gathering import BY_HAND, TRAINED
from tests.quality.guardrail.sources import own_cases
from tests.quality.guardrail.training import Row, Sparse, fitted


def test_kinds_that_are_kept_train_nothing(tmp_path: Path) -> None:
    rows = composed()
    for row in rows:
        later = row.family.startswith(("r2_", "r3_", "r4_"))
        assert row.set == ("composed aside" if later else "composed calibrate" if row.family in KEPT else "composed"), (
            row.text
        )
    rounds = Counter((row.family[:2], row.attack) for row in rows if row.set == "composed aside")
    assert rounds == {
        ("r2", True): 1982,
        ("r2", False): 1092,
        ("r3", True): 3858,
        ("r3", False): 2780,
        ("r4", True): 792,
        ("r4", False): 2413,
    }
    assert "composed" in TRAINED
    assert "composed aside" not in TRAINED
    assert "composed aside" not in BY_HAND
    kinds = Counter((row.family, row.attack) for row in rows if row.set == "composed calibrate")
    assert {kind for kind, _ in kinds} == set(KEPT)
    assert sum(count for (_, attack), count in kinds.items() if attack) > 100
    assert sum(count for (_, attack), count in kinds.items() if not attack) > 200
    (tmp_path / "attacks.jsonl").write_text(json.dumps({"text": "one", "kind": KEPT[0]}) + "\n", encoding="utf-8")
    (tmp_path / "harmless.jsonl").write_text(json.dumps({"text": "two", "kind": "x"}) + "\n", encoding="utf-8")
    assert [(row.text, row.attack, row.set) for row in composed(tmp_path)] == [
        ("one", True, "composed calibrate"),
        ("two", False, "composed"),
    ]


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
