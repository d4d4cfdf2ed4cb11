"""Who belongs to which side of a split."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from sluice.splitting import assigned


@given(
    weights=st.lists(st.floats(0.1, 100), min_size=2, max_size=4),
    grown=st.integers(0, 3),
    factor=st.floats(1, 10),
    subject=st.text(max_size=20),
)
def test_a_weight_that_grows_moves_callers_to_its_side_only(
    weights: list[float], grown: int, factor: float, subject: str
) -> None:
    grown %= len(weights)
    before = [(f"m{number}", weight) for number, weight in enumerate(weights)]
    after = [(name, weight * factor if name == f"m{grown}" else weight) for name, weight in before]
    first, then = assigned("auto", before, subject), assigned("auto", after, subject)
    assert then in {first, f"m{grown}"}


def test_a_split_meets_its_weights() -> None:
    weights = (("a", 80.0), ("b", 15.0), ("c", 5.0), ("d", 0.0))
    found = Counter(assigned("auto", weights, str(number)) for number in range(4000))
    assert abs(found["a"] / 4000 - 0.80) < 0.03
    assert abs(found["b"] / 4000 - 0.15) < 0.03
    assert abs(found["c"] / 4000 - 0.05) < 0.02
    assert found["d"] == 0
    assert assigned("auto", (), "s") is None
