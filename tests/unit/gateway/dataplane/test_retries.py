"""How long to wait before a retry, and how many there may be."""

from hypothesis import given
from hypothesis import strategies as st

from sluice_gateway.domain.retries import RetryBudget, pause


@given(tries=st.integers(0, 50), drawn=st.floats(0, 1, exclude_max=True))
def test_pauses_are_jittered_and_bounded(tries: int, drawn: float) -> None:
    assert 0 <= pause(tries, 0.1, 2.0, drawn) <= min(2.0, 0.1 * 2**tries)


def test_pauses_double() -> None:
    assert [pause(tries, 0.1, 2.0, 0.5) for tries in range(7)] == [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


def test_a_few_retries_are_always_allowed_and_then_a_share_of_requests() -> None:
    budget = RetryBudget()
    assert [budget.take(0.0, 0, 0.2) for _ in range(12)] == [True] * 10 + [False] * 2
    assert [budget.take(5.0, 20, 0.2) for _ in range(6)] == [True] * 4 + [False] * 2
    assert budget.take(10.0, 20, 0.2), "a new window"


def test_requests_of_long_ago_allow_nothing() -> None:
    budget = RetryBudget()
    assert budget.take(0.0, 0, 0.2)
    # 1,000 requests in 1,000 s are ten in the last ten seconds: two more than the ten that are always allowed
    assert [budget.take(1000.0, 1000, 0.2) for _ in range(13)] == [True] * 12 + [False]
