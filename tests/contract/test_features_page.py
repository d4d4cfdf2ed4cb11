"""docs/features.md has every feature once, counts them rightly, and names tests that exist."""

import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/features.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (F\d{3}) \| (.+?) \| (.*?) \| (.+?) \| (.*?) ?\|$", PAGE, re.MULTILINE)
COUNT = 386


def test_every_feature_has_one_row_in_order() -> None:
    assert [row[0] for row in ROWS] == [f"F{number:03d}" for number in range(1, COUNT + 1)]
    assert {row[3] for row in ROWS} == {"works", "partly", "not yet"}


def test_the_totals_are_those_of_the_rows() -> None:
    found = Counter(row[3] for row in ROWS)
    assert f"Now: {found['works']} work, {found['partly']} partly, {found['not yet']} not yet." in PAGE


@pytest.mark.parametrize("row", [row for row in ROWS if row[3] != "not yet"], ids=lambda row: row[0])
def test_what_works_names_what_shows_it_and_what_works_in_part_says_what_is_missing(row: tuple[str, ...]) -> None:
    said = row[4]
    assert said
    paths = re.findall(r"\b(?:tests|docs|deploy)/[\w./-]+\.\w+", said)
    pages = re.findall(r"\]\(([\w./-]+)\)", said)
    missing = [path for path in paths if not (ROOT / path).exists()]
    missing += [page for page in pages if not (ROOT / "docs" / page).exists()]
    assert missing == []
    if row[3] == "works":
        assert paths or pages or "`make " in said
