"""What was trained is added to the encoder's file in place, and every other byte stays."""

import numpy as np
import pytest
from numpy.typing import NDArray

from sluice.minilm.onnx_file import initializers
from sluice_guardrail.adapters.encoder import MATRICES, LowRank, adapted

INPUTS, OUTPUTS = 6, 5
Held = NDArray[np.int8]


def field(number: int, content: bytes) -> bytes:
    """One field of bytes in the wire format of protocol buffers."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def tensor(name: str, held: NDArray[np.generic]) -> bytes:
    kind = varint(2 << 3) + varint(1 if held.dtype == np.float32 else 3)
    shape = b"".join(varint(1 << 3) + varint(size) for size in held.shape)
    return field(5, shape + kind + field(8, name.encode()) + field(9, held.tobytes()))


def model_file(matrices: int = MATRICES) -> tuple[bytes, list[tuple[Held, NDArray[np.float32]]]]:
    """An ONNX file that holds matrices of eight bits with their scales, and what they are."""
    rng = np.random.default_rng(3)
    held = [
        (rng.integers(-127, 128, (INPUTS, OUTPUTS)).astype(np.int8), rng.uniform(0.01, 0.02, OUTPUTS).astype("f4"))
        for _ in range(matrices)
    ]
    # Numbered by tens, so that the order of numbers is not that of letters.
    parts = [
        tensor(f"val_{50 + 10 * at}_{kind}", part)
        for at, both in enumerate(held)
        for kind, part in zip(("q", "scale"), both, strict=True)
    ]
    graph = field(2, b"main_graph") + b"".join(reversed(parts)) + tensor("bias", np.zeros(2, np.float32))
    return varint(1 << 3) + varint(10) + field(7, graph), held


def matrix(file: bytes, at: int) -> NDArray[np.float32]:
    found = initializers(file)
    matrix: NDArray[np.float32] = found[f"val_{50 + 10 * at}_q"].astype(np.float32) * found[f"val_{50 + 10 * at}_scale"]
    return matrix


def test_a_product_is_added_to_its_matrix_alone() -> None:
    file, held = model_file()
    rng = np.random.default_rng(4)
    change = LowRank(rng.normal(0, 1, (INPUTS, 2)).astype("f4"), rng.normal(0, 1, (2, OUTPUTS)).astype("f4"))
    changed = adapted(file, {7: change})
    wanted = held[7][0] * held[7][1] + change.down @ change.up
    step = np.abs(wanted).max(axis=0) / 127
    assert np.all(np.abs(matrix(changed, 7) - wanted) <= step / 2 + 1e-6)
    assert len(changed) == len(file)
    for at in {*range(MATRICES)} - {7}:
        assert np.array_equal(matrix(changed, at), matrix(file, at))
    assert adapted(file, {}) == file


def test_another_model_is_refused() -> None:
    change = LowRank(np.ones((INPUTS, 1), np.float32), np.ones((1, OUTPUTS + 1), np.float32))
    with pytest.raises(ValueError, match=f"not one of {INPUTS} by {OUTPUTS + 1}"):
        adapted(model_file()[0], {0: change})
    with pytest.raises(ValueError, match="35 matrices of eight bits, not 36"):
        adapted(model_file(MATRICES - 1)[0], {})


@pytest.mark.parametrize("cut", [1, 7, 100])
def test_what_is_no_onnx_file_is_refused(cut: int) -> None:
    with pytest.raises(ValueError, match="behind its message"):
        adapted(model_file()[0][:-cut], {})
