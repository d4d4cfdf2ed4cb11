"""Finds where an ONNX file keeps the numbers of its tensors, so that they can be changed in place without the `onnx` package.

Only the wire format of protocol buffers (tag, length, bytes) and four field numbers of `onnx.proto` are needed: `ModelProto.graph` 7,
`GraphProto.initializer` 5, `TensorProto.name` 8 and `TensorProto.raw_data` 9. What keeps its length needs no other byte of the file to change.
"""

from collections.abc import Iterator

from sluice_guardrail.domain.ngrams import Span

_GRAPH, _INITIALIZER, _NAME, _RAW = 7, 5, 8, 9
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def raw_tensors(model: bytes | bytearray) -> dict[str, Span]:
    """Return where the bytes of each initializer lie, by name; those that keep none in `raw_data` are left out.

    Raises:
        ValueError: the bytes are no ONNX file.
    """
    found: dict[str, Span] = {}
    for number, start, end in _fields(model, 0, len(model)):
        if number != _GRAPH:
            continue
        for inner, at, to in _fields(model, start, end):
            if inner == _INITIALIZER:
                parts = {field: (first, last) for field, first, last in _fields(model, at, to)}
                if _NAME in parts and _RAW in parts:
                    found[model[slice(*parts[_NAME])].decode()] = parts[_RAW]
    return found


def _fields(data: bytes | bytearray, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield the number and the place of every field that holds bytes."""
    try:
        while at < end:
            tag, at = _varint(data, at)
            kind = tag & 7
            if kind == _BYTES:
                size, at = _varint(data, at)
                if at + size > end:
                    break
                yield tag >> 3, at, at + size
                at += size
            elif kind == _VARINT:
                _, at = _varint(data, at)
            elif kind in (_FIXED64, _FIXED32):
                at += 8 if kind == _FIXED64 else 4
            else:
                break
    except IndexError:
        at = -1
    if at != end:
        raise ValueError("The bytes are no ONNX file.")


def _varint(data: bytes | bytearray, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
