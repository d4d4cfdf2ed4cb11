"""The model as machine code and on onnxruntime: one model."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sluice.errors import DependencyUnavailable
from sluice.machine_code import Processor, can_compile
from sluice.minilm.files import find_model_files
from sluice.minilm.onnx_file import initializers
from sluice.minilm.runners import CompiledRunner, Floats, OnnxRunner, open_runner

needs_avx2 = pytest.mark.skipif(
    not can_compile(Processor.here()), reason="this processor has no AVX2, or the system lets no process make code"
)


@pytest.fixture(scope="module", params=[8, 16])
def code(request: pytest.FixtureRequest) -> CompiledRunner:
    lanes: int = request.param
    if lanes > Processor.here().lanes():
        pytest.skip("this processor has no AVX-512")
    return CompiledRunner(find_model_files().model, 2, lanes)


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
@pytest.mark.parametrize("length", [2, 3, 4, 5, 6, 7, 8, 13, 24, 31, 32, 33, 256, 512])
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


@pytest.mark.parametrize("length", [2, 3, 13, 128])
@needs_avx2
def test_each_token_has_the_state_that_onnxruntime_gives_it(
    code: CompiledRunner, onnx: OnnxRunner, length: int
) -> None:
    (window,) = drawn([length])
    states = code.states(window)
    assert states.shape == (length, 384)
    assert apart(states, onnx.states(window)) < 1e-5


def test_wide_registers_need_all_of_avx512_and_vnni() -> None:
    needed = ("avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512vnni")
    assert Processor("x86_64", dict.fromkeys(needed, True)).lanes() == 16
    assert all(Processor("x86_64", dict.fromkeys(needed, True) | {one: False}).lanes() == 8 for one in needed)


@pytest.mark.parametrize(
    "processor",
    [
        Processor("aarch64", {"avx2": True, "fma": True}),
        Processor("x86_64", {"avx": True, "fma": True}),
        Processor("x86_64", {"avx2": True, "fma": False}),
        Processor("riscv64", {}),
    ],
)
def test_a_processor_without_avx2_runs_onnxruntime(processor: Processor, onnx: OnnxRunner) -> None:
    runner = open_runner(find_model_files().model, 1, processor)
    assert isinstance(runner, OnnxRunner)
    windows = drawn([9, 4])
    assert np.array_equal(runner.run(windows), onnx.run(windows))


def test_a_system_that_lets_no_process_make_code_runs_onnxruntime() -> None:
    code = """
import ctypes
denied = ctypes.CDLL(None).prctl(65, 1, 0, 0, 0)  # PR_SET_MDWE: Linux 6.3 and later
from sluice.minilm.files import find_model_files
from sluice.minilm.runners import open_runner
print(denied, type(open_runner(find_model_files().model, 1)).__name__)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    denied, runner = done.stdout.split()
    if denied != "0":
        pytest.skip("this system denies no process to make code")
    assert runner == "OnnxRunner"


@needs_avx2
def test_changed_weights_are_run_from_their_bytes(code: CompiledRunner) -> None:
    changed = bytearray(find_model_files().model.read_bytes())
    initializers(changed)["inner.encoder.layer.5.output.LayerNorm.bias"][:] += 1
    windows = drawn([5])
    for runner in (open_runner(changed, 1), OnnxRunner(changed, 1)):
        assert np.allclose(runner.run(windows), code.run(windows) + 1, atol=0.01)


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
    with pytest.raises(DependencyUnavailable, match=r"not the embedding model of this release. Install it with"):
        open_runner(file, 1)
