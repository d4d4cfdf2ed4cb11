"""Reads the stored numbers of an ONNX file, as far as models with plain initializers need it (onnx.proto3, IR version 3 and later)."""

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_GRAPH, _INITIALIZER = 7, 5
_DIMS, _KIND, _NAME, _RAW = 1, 2, 8, 9
_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5
_KINDS: dict[int, np.dtype[Any]] = {1: np.dtype("<f4"), 3: np.dtype("i1")}


def initializers(content: Path | bytes | bytearray) -> dict[str, NDArray[Any]]:
    """Return float and eight-bit arrays by name, which lie in the file or bytes given: a file stays mapped; only those of a `bytearray` can be written, and change it.

    Raises:
        ValueError: it is no such file.
    """
    held = _mapped(content) if isinstance(content, Path) else memoryview(content)
    try:
        graphs = [value for field, value in _fields(held) if field == _GRAPH]
        tensors = [value for graph in graphs for field, value in _fields(graph) if field == _INITIALIZER]
        return dict(found for tensor in tensors if (found := _array(tensor)) is not None)
    except (IndexError, TypeError, UnicodeDecodeError) as exc:
        raise ValueError(f"{content if isinstance(content, Path) else 'this'} is no ONNX file") from exc


def _mapped(file: Path) -> memoryview:
    with file.open("rb") as opened:
        return memoryview(mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ))


def _array(tensor: memoryview) -> tuple[str, NDArray[Any]] | None:
    dims: list[int] = []
    kind, name, raw = 0, "", None
    for field, value in _fields(tensor):
        if field == _DIMS:
            dims += [value] if isinstance(value, int) else _numbers(value)
        elif field == _KIND:
            kind = value
        elif field == _NAME:
            name = bytes(value).decode()
        elif field == _RAW:
            raw = value
    if raw is None or kind not in _KINDS:
        return None
    return name, np.frombuffer(raw, dtype=_KINDS[kind]).reshape(dims)


def _fields(message: memoryview) -> Iterator[tuple[int, Any]]:
    """Yield number and value of each field: a number, or the bytes of what has a length."""
    at = 0
    while at < len(message):
        key, at = _number(message, at)
        field, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, at = _number(message, at)
            yield field, value
            continue
        if kind == _LENGTH:
            size, at = _number(message, at)
        elif kind in {_EIGHT_BYTES, _FOUR_BYTES}:
            size = 8 if kind == _EIGHT_BYTES else 4
        else:
            raise ValueError("a field of a kind that is not used any more")
        if at + size > len(message):
            raise ValueError("a field ends behind its message")
        yield field, message[at : at + size]
        at += size


def _numbers(value: memoryview) -> list[int]:
    found, at = [], 0
    while at < len(value):
        one, at = _number(value, at)
        found.append(one)
    return found


def _number(message: memoryview, at: int) -> tuple[int, int]:
    found = shift = 0
    while True:
        byte = message[at]
        at += 1
        found |= (byte & 0x7F) << shift
        if byte < 0x80:
            return found, at
        shift += 7
