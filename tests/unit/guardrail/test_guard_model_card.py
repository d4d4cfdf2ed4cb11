"""The model card names everything that trains, with its licence and the reason why it is no test set."""

import re
from importlib.resources import files

import pytest
from tests.quality.guardrail.fresh import COMMITS as FRESH
from tests.quality.guardrail.games import COMMITS as GAMES
from tests.quality.guardrail.harmless import COMMITS as HARMLESS
from tests.quality.guardrail.others import LEARNT, SCORED
from tests.quality.guardrail.written import PACKAGES

CARD = (files("sluice_guardrail") / "weights" / "README.md").read_text(encoding="utf-8")
PROMPTS = CARD.partition("## Prompts")[2].partition("## Documents")[0]


@pytest.mark.parametrize("name", sorted([*LEARNT, *PACKAGES, *GAMES, *HARMLESS]))
def test_what_trains_has_a_row_with_licence_and_reason(name: str) -> None:
    rows = [line for line in PROMPTS.splitlines() if re.match(rf"\| ([^|]*[ (])?{re.escape(name)}\b", line)]
    assert len(rows) == 1
    assert len([cell for cell in rows[0].strip("| ").split("|") if cell.strip()]) == 4


def test_what_only_scores_trains_nothing() -> None:
    assert not {*SCORED, *FRESH} & {*LEARNT, *GAMES, *HARMLESS}
    assert not [name for name in (*SCORED, *FRESH) if name in PROMPTS]
