"""Sampling and speculative decoding: by hand, and by what comes out when dice are rolled many times."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

from sluice_cli.reference.sampling import draw, probabilities
from sluice_cli.reference.speculative import acceptance, expected_tokens, speculate, speed_up
from sluice_cli.reference.statistics import chi_square

_LOGITS = np.log(np.array([0.5, 0.25, 0.125, 0.125]))


def test_greedy_takes_the_first_of_the_largest() -> None:
    assert probabilities(np.array([1.0, 3.0, 3.0]), temperature=0).tolist() == [0, 1, 0]


def test_temperature_raises_to_its_inverse() -> None:
    # at temperature 1/2 probabilities are squared: 16 : 4 : 1 : 1
    assert probabilities(_LOGITS, temperature=0.5) == pytest.approx(np.array([16, 4, 1, 1]) / 22)


def test_top_k_keeps_k() -> None:
    assert probabilities(_LOGITS, top_k=2) == pytest.approx([2 / 3, 1 / 3, 0, 0])
    assert probabilities(_LOGITS, top_k=100) == pytest.approx([0.5, 0.25, 0.125, 0.125])


def test_top_p_keeps_the_fewest_that_reach_it() -> None:
    assert probabilities(_LOGITS, top_p=0.5) == pytest.approx([1, 0, 0, 0])
    assert probabilities(_LOGITS, top_p=0.51) == pytest.approx([2 / 3, 1 / 3, 0, 0])
    assert probabilities(_LOGITS, top_p=1.0) == pytest.approx([0.5, 0.25, 0.125, 0.125])
    # the share is of what top_k left: 2/3 and 1/3
    assert probabilities(_LOGITS, top_k=2, top_p=0.6) == pytest.approx([1, 0, 0, 0])


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"temperature": -1.0}, "temperature"),
        ({"top_k": 0}, "top_k"),
        ({"top_p": 0.0}, "top_p"),
        ({"top_p": 1.1}, "top_p"),
    ],
)
def test_values_out_of_range_are_named(values: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        probabilities(_LOGITS, **values)  # type: ignore[arg-type]


def test_draws_follow_the_distribution_and_never_take_what_cannot_come() -> None:
    wanted = np.array([0.0, 0.6, 0.0, 0.4, 0.0])
    dice = np.random.default_rng(1)
    counts = Counter(draw(wanted, dice) for _ in range(4000))
    assert set(counts) == {1, 3}
    assert chi_square([counts[token] for token in range(5)], list(wanted)).p_value > 0.001


def test_chi_square_by_hand_and_by_the_tables() -> None:
    found = chi_square([60, 40], [0.5, 0.5])
    assert (found.statistic, found.freedom) == (pytest.approx(4.0), 1)
    assert found.p_value == pytest.approx(0.0455, abs=0.004)
    # the upper 5 % point of 9 degrees of freedom is 16.919: two of ten cells off by 29.08 of 100 each
    off = (16.919 * 100 / 2) ** 0.5
    total = chi_square([round(10_000 + 10 * off), round(10_000 - 10 * off), *[10_000] * 8], [0.1] * 10)
    assert total.statistic == pytest.approx(16.919, rel=0.002)
    assert total.p_value == pytest.approx(0.05, abs=0.001)


def test_chi_square_of_what_cannot_be() -> None:
    assert chi_square([50, 49, 1], [0.5, 0.5, 0.0]).p_value == 0
    with pytest.raises(ValueError, match="at least two values"):
        chi_square([5, 0], [1.0, 0.0])


_TARGET = np.array([[0.1, 0.2, 0.3, 0.4], [0.7, 0.1, 0.1, 0.1], [0.0, 0.5, 0.25, 0.25], [0.25] * 4])
_DRAFT = np.array([[0.4, 0.3, 0.2, 0.1], [0.1, 0.1, 0.1, 0.7], [0.5, 0.5, 0.0, 0.0], [0.25] * 4])


def _target(so_far: Sequence[int]) -> np.ndarray:
    return _TARGET[so_far[-1]]


def _draft(so_far: Sequence[int]) -> np.ndarray:
    return _DRAFT[so_far[-1]]


def test_speculation_leaves_the_distribution_of_pairs_of_tokens_as_it_is() -> None:
    dice = np.random.default_rng(3)
    counts: Counter[tuple[int, int]] = Counter()
    for _ in range(2000):
        tokens: list[int] = []
        while len(tokens) < 2:
            tokens += speculate(_target, _draft, [0, *tokens], 3, dice).tokens
        counts[tokens[0], tokens[1]] += 1
    wanted = {(a, b): _target([0])[a] * _target([a])[b] for a in range(4) for b in range(4)}
    test = chi_square([counts[pair] for pair in wanted], list(wanted.values()))
    assert test.freedom == 14  # one of the sixteen pairs cannot come
    assert test.p_value > 0.001


def test_the_test_sees_a_wrong_rule() -> None:
    """What the draft guesses, taken as it is, does not follow the target."""
    dice = np.random.default_rng(3)
    counts = Counter(draw(_draft([0]), dice) for _ in range(2000))
    assert chi_square([counts[token] for token in range(4)], list(_target([0]))).p_value < 1e-6


def test_all_guesses_of_a_perfect_draft_are_kept_and_one_token_more() -> None:
    step = speculate(_target, _target, [3], 4, np.random.default_rng(0))
    assert (step.accepted, len(step.tokens)) == (4, 5)


def test_a_draft_that_is_always_wrong_costs_nothing_but_time() -> None:
    def never(_: Sequence[int]) -> np.ndarray:
        return np.array([0.0, 0.0, 0.0, 1.0])

    def always(_: Sequence[int]) -> np.ndarray:
        return np.array([0.5, 0.5, 0.0, 0.0])

    step = speculate(always, never, [0], 4, np.random.default_rng(0))
    assert step.accepted == 0
    assert step.tokens[0] in (0, 1)


def test_acceptance_and_speed_by_hand() -> None:
    assert acceptance(np.array([0.1, 0.9]), np.array([0.5, 0.5])) == pytest.approx(0.6)
    assert expected_tokens(0.5, 2) == pytest.approx(1.75)  # 1 + 1/2 + 1/4
    assert expected_tokens(1.0, 4) == 5
    assert speed_up(0.5, 2, 0.125) == pytest.approx(1.75 / 1.25)


def test_the_mean_of_tokens_a_step_is_the_formulas() -> None:
    """With guesses that do not depend on what came before, the formula is exact."""
    p, q = np.array([0.1, 0.9]), np.array([0.5, 0.5])
    dice = np.random.default_rng(9)
    steps = [len(speculate(lambda _: p, lambda _: q, [0], 3, dice).tokens) for _ in range(1000)]
    wanted = expected_tokens(0.6, 3)
    assert np.mean(steps) == pytest.approx(wanted, abs=4 * float(np.std(steps)) / 1000**0.5)
