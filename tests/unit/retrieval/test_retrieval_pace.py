"""How much an ingest does in one step."""

from sluice_retrieval.domain.ingest import Pace


def test_quick_steps_grow_and_slow_ones_shrink() -> None:
    pace = Pace()
    first = pace.size
    pace.took(first, 0.1)
    assert pace.size == 2 * first
    pace.took(first, 0.1)  # half a step says nothing of a whole one
    assert pace.size == 2 * first
    for _ in range(20):
        pace.took(pace.size, 0.1)
    most = pace.size
    assert first < most <= 1000  # what the index takes at once
    pace.took(most, 1.0)
    assert pace.size == most
    for _ in range(20):
        pace.took(pace.size, 9.0)
    assert pace.size == first
