"""One model over several devices equals the unsplit one."""

import numpy as np
import pytest

from sluice_cli.reference.parallel import all_reduce_bytes, column_parallel, pipeline, row_parallel, tensor_parallel
from sluice_cli.reference.transformer import Shape, Transformer


def _weights(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape)


@pytest.mark.parametrize("devices", [1, 2, 4])
def test_a_layer_in_columns_is_the_layer_side_by_side(devices: int) -> None:
    x, weight = _weights(5, 6), _weights(6, 8)
    parts = column_parallel(x, weight, devices)
    assert [part.shape for part in parts] == [(5, 8 // devices)] * devices
    assert np.allclose(np.concatenate(parts, axis=1), x @ weight, atol=1e-12)


@pytest.mark.parametrize("devices", [1, 2, 4])
def test_a_layer_in_rows_is_the_sum(devices: int) -> None:
    x, weight = _weights(5, 8), _weights(8, 6)
    assert np.allclose(row_parallel(np.split(x, devices, axis=1), weight), x @ weight, atol=1e-12)


def test_uneven_cuts_are_refused() -> None:
    with pytest.raises(ValueError, match="8 cannot be cut evenly over 3"):
        column_parallel(_weights(5, 6), _weights(6, 8), 3)
    with pytest.raises(ValueError, match="7 rows cannot be cut evenly over 2"):
        row_parallel([_weights(5, 4), _weights(5, 3)], _weights(7, 6))


def test_what_a_ring_sends() -> None:
    assert all_reduce_bytes(1000, 1) == 0
    assert all_reduce_bytes(1000, 4) == 2 * 3 / 4 * 2000


def test_the_layers_of_a_transformer_in_a_pipeline_are_the_transformer() -> None:
    shape = Shape(heads=4, kv_heads=2, width=32, inner=64, context=16)
    model = Transformer.random(shape, 0)
    ids = np.random.default_rng(1).integers(0, shape.vocabulary, (6, 12))
    found = pipeline(ids.astype(float), [lambda part: model.logits(part.astype(int))], 3)
    assert np.allclose(found.output, model.logits(ids), atol=1e-9)  # micro-batches come together again along the batch


@pytest.mark.parametrize("devices", [1, 2, 8])
def test_tensor_parallel_is_the_whole(devices: int) -> None:
    x, up, down = _weights(5, 16), _weights(16, 64), _weights(64, 16)
    whole = np.maximum(0, x @ up) @ down
    assert np.abs(tensor_parallel(x, up, down, devices) - whole).max() < 1e-9


def test_tensor_parallel_refuses_an_uneven_cut() -> None:
    with pytest.raises(ValueError, match="64 cannot be cut evenly over 3"):
        tensor_parallel(_weights(5, 16), _weights(16, 64), _weights(64, 16), 3)


@pytest.mark.parametrize("parts", [1, 3, 4, 8])
def test_a_pipeline_is_the_stages_one_after_the_other(parts: int) -> None:
    x = _weights(8, 4)
    stages = [lambda x, by=by: x * by + 1 for by in (2.0, 3.0, 5.0)]
    found = pipeline(x, stages, parts)
    assert found.output == pytest.approx(((x * 2 + 1) * 3 + 1) * 5 + 1)
    assert len(found.schedule) == parts + 2
    assert found.bubble == pytest.approx(2 / (parts + 2))
    # no stage works on two parts at once, and every stage sees every part once
    assert sorted(part for tick in found.schedule for part in tick if part is not None) == sorted([*range(parts)] * 3)


def test_a_pipeline_without_stages_is_refused() -> None:
    with pytest.raises(ValueError, match="0 stages"):
        pipeline(_weights(8, 4), [], 2)
