"""The model as machine code and on onnxruntime: one model."""

from pathlib import Path

import numpy as np
import pytest

from sluice.errors import DependencyUnavailable
from sluice_retrieval.adapters.machine_code import can_compile
from sluice_retrieval.adapters.minilm import find_model_files
from sluice_retrieval.adapters.minilm_runners import CompiledRunner, Floats, OnnxRunner, open_runner
from sluice_retrieval.adapters.onnx_file import initializers

needs_avx2 = pytest.mark.skipif(
    not can_compile(), reason="this processor has no AVX2, or the system lets no process make code"
)


@pytest.fixture(scope="module")
def code() -> CompiledRunner:
    return CompiledRunner(find_model_files().model, 2)


@pytest.fixture(scope="module")
def onnx() -> OnnxRunner:
    return OnnxRunner(find_model_files().model, 1)


def drawn(lengths: list[int]) -> list[list[int]]:
    dice = np.random.default_rng(len(lengths))
    return [[101, *dice.integers(1000, 30_000, length - 2).tolist(), 102] for length in lengths]


def apart(one: Floats, other: Floats) -> float:
    """Return the greatest cosine distance of two rows."""
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return float((1 - (one * other).sum(axis=1, dtype=np.float64) / norms).max())


@needs_avx2
@pytest.mark.parametrize("length", [2, 3, 4, 5, 6, 7, 8, 13, 24, 256])
def test_machine_code_makes_the_vectors_of_onnxruntime(code: CompiledRunner, onnx: OnnxRunner, length: int) -> None:
    windows = drawn([length])
    assert apart(code.run(windows), onnx.run(windows)) < 1e-5


@needs_avx2
def test_a_vector_does_not_depend_on_what_stands_beside_its_text(code: CompiledRunner) -> None:
    windows = drawn([40, 3, 17, 9])
    together = code.run(windows)
    assert all(np.array_equal(code.run([one])[0], together[at]) for at, one in enumerate(windows))


@needs_avx2
def test_this_machine_runs_machine_code() -> None:
    assert isinstance(open_runner(find_model_files().model, 1), CompiledRunner)


@pytest.mark.parametrize("raw", [b"\x0b", b"\x3a\x7fabc", b"\x3a\x05\x2a\x03\x42\x01\xff", b"\xff"])
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, raw: bytes) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(raw)
    with pytest.raises(ValueError, match=r"no ONNX file|not used any more|ends behind"):
        initializers(file)


@needs_avx2
def test_another_model_is_refused_with_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(b"\x3a\x00")
    with pytest.raises(DependencyUnavailable, match=r"not the embedding model of this release. Install it again with"):
        open_runner(file, 1)
