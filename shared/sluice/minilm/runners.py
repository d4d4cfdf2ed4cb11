"""What runs MiniLM: machine code that is made for it on processors with AVX2, onnxruntime elsewhere."""

import ctypes
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sluice.errors import DependencyUnavailable
from sluice.machine_code import Processor, can_compile
from sluice.minilm.files import INSTALL
from sluice.minilm.layers import INNER, LAYERS, PARTS, WIDTH, attention_room, compiled_layers, packed
from sluice.minilm.onnx_file import initializers

Floats = NDArray[np.float32]
_PRODUCTS = ("query", "key", "value", "out", "up", "down")  # the matrices of a layer, in the order of their names
_MATRIX = re.compile(r"val_(\d+)_q")


class Runner(Protocol):
    """Runs the model over token ids, special ones included; safe to call from several threads."""

    def states(self, window: Sequence[int]) -> Floats:
        """Return the last hidden states of at most 512 tokens, [tokens, 384]."""
        ...

    def run(self, windows: Sequence[Sequence[int]]) -> Floats:
        """Return, for each window of at most 512 tokens, the mean of the last hidden states."""
        ...

    def prepared(self, window: Sequence[int]) -> Callable[[], Floats]:
        """Return what gives the states of a window when a thread calls it, with next to nothing left that needs the interpreter."""
        ...


def open_runner(model: Path | bytes | bytearray, threads: int, processor: Processor | None = None) -> Runner:
    """Return what runs the model, given as a file or its bytes, on this machine, for `threads` cores; to be called when it is needed, since it takes memory.

    Raises:
        DependencyUnavailable: it is another model.
    """
    here = processor or Processor.here()
    if not can_compile(here):
        return OnnxRunner(model, threads)
    try:
        return CompiledRunner(model, threads, here.lanes())
    except (KeyError, ValueError) as exc:
        named = model if isinstance(model, Path) else "What was given"
        raise DependencyUnavailable(f"{named} is not the embedding model of this release. {INSTALL}") from exc


class CompiledRunner:
    """Machine code for one text at a time, made when it is opened (half a second); memory is 60 MB, half of them the file, shared by all processes."""

    def __init__(self, model: Path | bytes | bytearray, threads: int, lanes: int) -> None:
        self._weights = _Weights(initializers(model), lanes)
        self._code = compiled_layers(lanes)  # holds what `_layers` leads to
        kinds = (*(ctypes.c_void_p,) * 10, ctypes.c_int64)
        self._layers: Callable[..., None] = ctypes.CFUNCTYPE(None, *kinds)(self._code.address("layers"))
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="minilm") if threads > 1 else None

    def run(self, windows: Sequence[Sequence[int]]) -> Floats:
        """Return the means."""
        if self._threads is None or len(windows) == 1:
            return np.stack([self._mean(window) for window in windows])
        return np.stack(list(self._threads.map(self._mean, windows)))

    def states(self, window: Sequence[int]) -> Floats:
        """Return the last hidden states."""
        return self.prepared(window)()

    def prepared(self, window: Sequence[int]) -> Callable[[], Floats]:
        """Return what gives the states."""
        x = self._weights.embedded(window)
        rows = len(x)
        y = np.zeros_like(x)
        wide, whole = np.empty((rows, INNER), dtype=np.float32), np.empty((rows, INNER), dtype=np.int16)
        room = attention_room(rows)
        scales, turned, chances = (np.empty(count, dtype=np.float32) for count in (rows, *room))
        given: tuple[NDArray[Any], ...] = (x, y, wide, whole, scales, turned, chances, *self._weights.table)
        addresses = [one.ctypes.data for one in given]

        def states() -> Floats:
            self._layers(*addresses, rows)
            return given[0]

        return states

    def _mean(self, window: Sequence[int]) -> Floats:
        mean: Floats = self.states(window).mean(axis=0)
        return mean


class _Weights:
    """The model's numbers: rows of the tables of embeddings in the file, matrices in the order of the code."""

    def __init__(self, found: Mapping[str, NDArray[Any]], lanes: int) -> None:
        inner = "inner.embeddings."
        words, places = f"{inner}word_embeddings.weight", f"{inner}position_embeddings.weight"
        self._words, self._word_scales = found[f"{words}_q"], found[f"{words}_scale"]
        kind = found[f"{inner}token_type_embeddings.weight"][0]
        self._places: Floats = found[f"{places}_q"] * found[f"{places}_scale"] + kind
        matrices = sorted((int(match[1]), match[0]) for match in map(_MATRIX.fullmatch, found) if match)
        names = [name for _, name in matrices]
        each = len(_PRODUCTS)
        self._kept = [
            _parts(found, f"inner.encoder.layer.{at}.", names[each * at : each * (at + 1)], lanes)
            for at in range(LAYERS)
        ]
        addresses = [[part[name].ctypes.data for name in PARTS] for part in self._kept]
        self.table = (
            np.array(addresses, dtype=np.uint64),
            *(np.array(found[f"{inner}LayerNorm.{name}"]) for name in ("weight", "bias")),
        )

    def embedded(self, window: Sequence[int]) -> Floats:
        """Return the sum of the embeddings of words and places, [tokens, 384]."""
        ids = np.array(window)
        found: Floats = self._words[ids] * self._word_scales[ids]
        found += self._places[: len(ids)]
        return np.ascontiguousarray(found, dtype=np.float32)


def _parts(
    found: Mapping[str, NDArray[Any]], layer: str, matrices: Sequence[str], lanes: int
) -> dict[str, NDArray[Any]]:
    """Return the arrays of `PARTS` of one layer."""
    shapes = ((WIDTH, WIDTH), (WIDTH, WIDTH), (WIDTH, WIDTH), (WIDTH, WIDTH), (WIDTH, INNER), (INNER, WIDTH))
    if tuple(found[name].shape for name in matrices) != shapes:
        raise ValueError(f"the matrices of {layer} are not those of MiniLM")
    weights = {name: found[one] for name, one in zip(_PRODUCTS, matrices, strict=True)}
    scales = {name: found[one.removesuffix("_q") + "_scale"][0] for name, one in zip(_PRODUCTS, matrices, strict=True)}
    asking = ("query", "key", "value")
    biases = [found[f"{layer}attention.self.{name}.bias"] for name in asking]
    made = {
        "asked": packed(np.concatenate([weights[name] for name in asking], axis=1), lanes),
        "asked_scale": np.concatenate([scales[name] for name in asking]),
        "asked_bias": np.concatenate(biases),
        **{name: packed(weights[name], lanes) for name in ("out", "up", "down")},
        **{f"{name}_scale": np.array(scales[name]) for name in ("out", "up", "down")},
    }
    others = {
        "out_bias": "attention.output.dense.bias",
        "first_gain": "attention.output.LayerNorm.weight",
        "first_shift": "attention.output.LayerNorm.bias",
        "up_bias": "intermediate.dense.bias",
        "down_bias": "output.dense.bias",
        "second_gain": "output.LayerNorm.weight",
        "second_shift": "output.LayerNorm.bias",
    }
    return made | {name: np.array(found[f"{layer}{one}"]) for name, one in others.items()}


class OnnxRunner:
    """onnxruntime, with windows padded to the longest of a call; it takes a quarter of a second to open and about 90 MB.

    The arena is off: it keeps the largest batch's memory for ever, and costs no speed to speak of at this size.
    """

    def __init__(self, model: Path | bytes | bytearray, threads: int) -> None:
        import onnxruntime  # noqa: PLC0415 - not everybody needs it

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False
        options.enable_mem_pattern = False
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        given = str(model) if isinstance(model, Path) else bytes(model)
        self._session: Any = onnxruntime.InferenceSession(given, options, providers=["CPUExecutionProvider"])

    def states(self, window: Sequence[int]) -> Floats:
        """Return the last hidden states."""
        states: Floats = self._hidden(np.array([window], dtype=np.int64), np.ones((1, len(window)), dtype=np.int64))[0]
        return states

    def prepared(self, window: Sequence[int]) -> Callable[[], Floats]:
        """Return what gives the states."""
        return partial(self.states, window)

    def run(self, windows: Sequence[Sequence[int]]) -> Floats:
        """Return the means."""
        ids = np.zeros((len(windows), max(map(len, windows))), dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, window in enumerate(windows):
            ids[row, : len(window)] = window
            mask[row, : len(window)] = 1
        hidden = self._hidden(ids, mask)
        weights = mask[:, :, None].astype(np.float32)
        pooled: Floats = (hidden * weights).sum(axis=1) / weights.sum(axis=1)
        return pooled

    def _hidden(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> Any:
        feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        return self._session.run(None, feeds)[0]
