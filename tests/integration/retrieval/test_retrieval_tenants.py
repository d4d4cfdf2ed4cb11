"""Three tenants at random over every endpoint: none ever meets another."""

from pathlib import Path

import pytest
from tests.bench.retrieval import tenants

pytestmark = pytest.mark.integration


def test_tenants_never_meet(tmp_path: Path) -> None:
    outcome = tenants.live(tmp_path, operations=150, seed=3)
    assert outcome.wrong == []
    assert outcome.foreign > 20
    assert outcome.hits > 5
