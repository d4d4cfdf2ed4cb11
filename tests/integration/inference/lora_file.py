"""A LoRA adapter in GGUF for SmolLM2-135M that was never trained: its weights are drawn with a fixed seed, and large, so that an answer with it must differ."""

import struct
from pathlib import Path

import numpy as np

_STRING, _FLOAT32 = 8, 6
_ALIGNMENT = 32
_WIDTH, _RANK = 576, 4  # of SmolLM2-135M; of the adapter


def write_adapter(path: Path, *, seed: int = 0, kind: str = "lora", architecture: str = "llama") -> Path:
    """Write the file (GGUF 3: a head of keys, the tensors' descriptions, their aligned data) and return its path."""
    drawn = np.random.default_rng(seed)
    tensors: list[tuple[str, np.ndarray[tuple[int, int], np.dtype[np.float32]]]] = []
    for layer in (10, 20, 28):
        for side, shape in (("a", (_RANK, _WIDTH)), ("b", (_WIDTH, _RANK))):
            weights = drawn.normal(scale=0.4, size=shape).astype(np.float32)
            tensors.append((f"blk.{layer}.attn_output.weight.lora_{side}", weights))
    keys = {"general.type": "adapter", "general.architecture": architecture, "adapter.type": kind}
    head = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(keys) + 1)
    for key, value in keys.items():
        head += _text(key) + struct.pack("<I", _STRING) + _text(value)
    head += _text("adapter.lora.alpha") + struct.pack("<If", _FLOAT32, 8.0)
    data = b""
    for name, weights in tensors:
        rows, columns = weights.shape
        head += _text(name) + struct.pack("<IQQIQ", 2, columns, rows, 0, len(data))
        data += _aligned(weights.tobytes())
    path.write_bytes(_aligned(head) + data)
    return path


def _text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


def _aligned(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % _ALIGNMENT)
