"""Quantisation within its bounds."""

import numpy as np
import pytest

from sluice_cli.reference.quantisation import Calibration, absmax, affine, relative_error


def _weights(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape)


def test_absmax_by_hand() -> None:
    made = absmax(np.array([[-12.7, 0.0, 5.04, 6.35]]), 8)
    assert made.scales == pytest.approx([0.1])
    assert made.values.tolist() == [[-127, 0, 50, 64]]  # 63.5 goes to the even neighbour
    assert made.restored()[0] == pytest.approx([-12.7, 0, 5.0, 6.4])


@pytest.mark.parametrize(("bits", "group"), [(8, None), (8, 64), (4, None), (4, 32), (4, 128), (2, 16)])
def test_no_error_exceeds_half_a_step(bits: int, group: int | None) -> None:
    x = _weights(32, 256)
    made = absmax(x, bits, group)
    assert np.abs(made.values).max() <= 2 ** (bits - 1) - 1
    errors = np.abs(x - made.restored()).reshape(len(made.scales), -1)
    assert (errors <= made.bound[:, None] + 1e-12).all()
    assert errors.max() > 0.5 * made.bound.max()  # the bound is near


def test_smaller_groups_err_less_and_cost_more_bits() -> None:
    x = _weights(32, 256)
    x[0, 0] = 40.0  # an outlier spoils the scale of whoever shares it
    made = [absmax(x, 4, group) for group in (None, 128, 32)]
    errors = [relative_error(x, one.restored()) for one in made]
    assert errors == sorted(errors, reverse=True)
    assert [one.bits_per_value for one in made] == pytest.approx([4 + 16 / 8192, 4.125, 4.5])


def test_zeros_stay_zeros() -> None:
    assert not absmax(np.zeros((2, 8)), 4, 8).restored().any()


def test_what_cannot_be_cut_is_refused() -> None:
    with pytest.raises(ValueError, match="256 values cannot be cut into groups of 100"):
        absmax(_weights(2, 256), 4, 100)
    with pytest.raises(ValueError, match="from 2 to 8"):
        absmax(_weights(2, 8), 16)


def test_affine_by_hand() -> None:
    # range -1 … 4.1: scale 5.1 / 255 = 0.02, zero point 50
    seen = Calibration.of([np.array([0.5, 4.1]), np.array([-1.0, 2.0])])
    assert seen == (-1.0, 4.1)
    made = affine(np.array([-1.0, 0.0, 0.4, 4.1, 9.0, -3.0]), seen)
    assert (made.scales[0], made.zeros[0]) == (pytest.approx(0.02), 50)
    assert made.values.tolist() == [0, 50, 70, 255, 255, 0]
    assert made.restored() == pytest.approx([-1.0, 0.0, 0.4, 4.1, 4.1, -1.0])


def test_a_range_always_holds_zero() -> None:
    assert Calibration.of([np.array([2.0, 3.0])]) == (0.0, 3.0)
    with pytest.raises(ValueError, match="at least one batch"):
        Calibration.of([])


def test_inside_the_calibrated_range_errors_stay_within_a_step() -> None:
    x = _weights(4096)
    made = affine(x, Calibration.of([x]))
    assert np.abs(x - made.restored()).max() <= made.scales[0]
    assert relative_error(x, made.restored()) < 0.02
