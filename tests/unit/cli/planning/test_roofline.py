"""The roofline, speeds and training budgets by hand."""

import pytest
from tests.unit.cli.planning.test_shape_and_memory import MIXTRAL

from sluice_cli.planning.accelerators import ACCELERATORS, Accelerator
from sluice_cli.planning.roofline import Setup, bound_of, decode, prefill, speed
from sluice_cli.planning.shape import ModelShape, dense_shape, shape_of
from sluice_cli.planning.training import optimal, seconds_of

# 1 billion parameters, 10 layers, width 1000, 10 heads of 100, two of them for keys and values: 8,000 bytes of KV a token
SHAPE = dense_shape(1.0, 10, 1000, 10, 2)
DEVICE = Accelerator("test", memory_gb=10, bandwidth_gb_s=1000, tflops=100, watts=300, host_gb_s=10)


def test_dense_peaks_are_half_of_those_with_sparsity() -> None:
    assert ACCELERATORS["h100-sxm"].tflops == pytest.approx(1979 / 2, abs=1)
    assert ACCELERATORS["a100-80gb"].tflops == pytest.approx(1248 / 4, abs=0.5)  # INT8 with sparsity is four times BF16
    assert ACCELERATORS["tpu-v4"].tflops == 275
    assert ACCELERATORS["mi250x"].tflops == 383


def test_below_the_ridge_memory_is_the_bound() -> None:
    assert DEVICE.ridge == 100
    assert bound_of(99, DEVICE) == "memory-bound"
    assert bound_of(101, DEVICE) == "compute-bound"


def test_decoding_one_token_reads_all_weights() -> None:
    one = decode(Setup(SHAPE, DEVICE), 1, 1000)
    assert one.operations == 2e9 + 4 * 10 * 10 * 100 * 1000
    assert one.read == 2e9 + 1000 * 8000
    assert (one.bound, one.seconds) == ("memory-bound", pytest.approx(2.008e-3))
    assert one.intensity == pytest.approx(1.0, abs=0.02)


def test_a_batch_reads_the_weights_once_and_each_kv_cache() -> None:
    many = decode(Setup(SHAPE, DEVICE), 32, 1000)
    assert many.read == 2e9 + 32 * 1000 * 8000
    assert many.seconds == pytest.approx(2.256e-3)


def test_a_long_prompt_is_bound_by_arithmetic() -> None:
    one = prefill(Setup(SHAPE, DEVICE), 1000)
    # 2 * 1e9 * 1000, and 40,000 for each of 500,500 pairs
    assert one.operations == 2e12 + 40_000 * 500_500
    assert (one.bound, one.seconds) == ("compute-bound", pytest.approx(0.0202, abs=1e-5))


def test_devices_share_the_work_and_pay_for_talking() -> None:
    two = decode(Setup(SHAPE, DEVICE, devices=2, link_gb_s=1.0), 64, 10)
    # 2 all-reduces * 10 layers * 64 tokens * 1000 * 2 bytes * 2 * (1/2)
    assert two.sent == 2_560_000
    assert (two.bound, two.seconds) == ("communication-bound", pytest.approx(2.56e-3))
    assert decode(Setup(SHAPE, DEVICE, devices=2), 1, 10).seconds == pytest.approx(1e-3, rel=0.01)


def test_layers_in_the_hosts_memory_come_over_the_bus_in_every_step() -> None:
    half = decode(Setup(SHAPE, DEVICE, offloaded=0.5), 1, 10)
    assert (half.bound, half.seconds) == ("communication-bound", pytest.approx(1e9 / 10e9))


def test_efficiencies_stretch_and_overhead_adds() -> None:
    base = decode(Setup(SHAPE, DEVICE), 1, 1000).seconds
    slower = decode(Setup(SHAPE, DEVICE, bandwidth_efficiency=0.5, overhead_s=0.001), 1, 1000).seconds
    assert slower == pytest.approx(2 * base + 0.001)


def test_a_batch_reaches_more_experts() -> None:
    setup = Setup(shape_of(MIXTRAL), ACCELERATORS["h100-sxm"])
    read = [decode(setup, batch, 0).read for batch in (1, 2, 1000)]
    assert read[0] == pytest.approx(2 * setup.shape.active)
    assert read[0] < read[1] < read[2] == pytest.approx(2 * setup.shape.parameters)


def test_a_window_bounds_the_work_of_long_prompts() -> None:
    windowed = ModelShape(**{**{name: getattr(SHAPE, name) for name in ModelShape.__slots__}, "window": 4})
    # queries of 6 tokens look at 1, 2, 3, 4, 4 and 4
    assert prefill(Setup(windowed, DEVICE), 6).operations == 2e9 * 6 + 40_000 * 18


def test_speed_by_hand() -> None:
    found = speed(Setup(SHAPE, DEVICE), 1000, 100, 10)
    assert found.ttft_s == pytest.approx(0.020200, abs=1e-5)
    assert found.tpot_s == pytest.approx((2e9 + 10 * 1050 * 8000) / 1e12)
    assert found.e2e_s == pytest.approx(found.ttft_s + 99 * found.tpot_s)
    assert found.tokens_per_second == pytest.approx(100 / (found.ttft_s + 10 * found.tpot_s))
    assert found.mbu == pytest.approx(1.0)
    assert found.mfu == pytest.approx((2e10 + 40_000 * 10_500) / found.tpot_s / 1e14)
    assert found.joules_per_token == pytest.approx(300 / found.tokens_per_second)


def test_chinchilla_itself() -> None:
    # Hoffmann et al.: 70B parameters, 1.4T tokens, 5.76e23 operations (by 6ND 5.88e23)
    found = optimal(parameters=70e9)
    assert (found.tokens, found.operations) == (pytest.approx(1.4e12), pytest.approx(5.88e23))
    assert optimal(tokens=1.4e12).parameters == pytest.approx(70e9)
    assert optimal(operations=5.88e23).parameters == pytest.approx(70e9)


def test_four_times_the_operations_are_twice_the_model_and_twice_the_text() -> None:
    small, large = optimal(operations=1e20), optimal(operations=4e20)
    assert large.parameters / small.parameters == pytest.approx(2)
    assert large.tokens / small.tokens == pytest.approx(2)


def test_budgets_that_say_nothing_are_refused() -> None:
    for given in ({}, {"operations": 1e20, "tokens": 1e9}, {"operations": -1.0}):
        with pytest.raises(ValueError, match="exactly one"):
            optimal(**given)


def test_how_long_a_training_takes() -> None:
    assert seconds_of(4e18, tflops=100, devices=10, mfu=0.4) == pytest.approx(10_000)
