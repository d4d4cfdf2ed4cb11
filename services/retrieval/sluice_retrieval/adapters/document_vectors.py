"""Vectors of documents in memory, compared by machine code: for searches over documents that a filter chose."""

import ctypes
import struct
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from sluice.machine_code import INT16, INT32, INT64, POINTER, CodeWriter, Compiled, Processor, compiled

_ONE = 32_760
"""What stands for 1. Numbers of vectors of length 1, a little more by rounding, fit into sixteen bits then, and no sum of products leaves 32 (Cauchy and Schwarz)."""
_BLOCK = 64


Rows = NDArray[np.int16]
"""Vectors as whole numbers, one in a row, rounded up to whole registers."""


class Near(NamedTuple):
    """A point by its id, and its cosine to what was asked for."""

    id: UUID
    score: float


class _Kept(NamedTuple):
    ids: Sequence[UUID]
    rows: Rows
    place: int


class DocumentVectors:
    """Vectors of length 1 by their documents, of at most `most_bytes`; those of documents that were not asked for longest go first.

    The engine takes 2 ms to find out which of 100,000 points belong to 200 documents and to compare those, most of it for the first; here it is 0.6 ms. Who changes the points of a document must
    `forget` it. To be used by one thread.
    """

    def __init__(self, dimensions: int, most_bytes: int) -> None:
        lanes = Processor.here().lanes()
        self._width = -(-dimensions // (2 * lanes)) * 2 * lanes
        self._most_bytes = most_bytes
        self._bytes = 0
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._code = _compiled_products(lanes)
        kinds = (*(ctypes.c_void_p,) * 2, ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p)
        self._products: Callable[..., None] = ctypes.CFUNCTYPE(None, *kinds)(self._code.address("products"))

    def split(self, documents: Collection[str]) -> tuple[list[str], list[str]]:
        """Return which of these documents are here, and which are not."""
        known = self._kept
        here = [one for one in documents if one in known]
        return here, [] if len(here) == len(documents) else [one for one in documents if one not in known]

    def has_room(self, documents: int) -> bool:
        """Tell whether so many documents have room, if they are as long as those that are here."""
        return not self._kept or documents * self._bytes <= len(self._kept) * self._most_bytes

    def packed(self, vectors: Sequence[Sequence[float]]) -> Rows:
        """Return vectors as they are kept; for any thread."""
        rows = np.zeros((len(vectors), self._width), dtype=np.int16)
        if vectors:
            joined = b"".join(
                struct.pack(f"{len(one)}f", *one) for one in vectors
            )  # half of the time of numpy's own way
            given = np.frombuffer(joined, dtype=np.float32).reshape(len(vectors), -1)
            rows[:, : given.shape[1]] = _whole(given)
        return rows

    def keep(self, document: str, ids: Sequence[UUID], rows: Rows) -> None:
        """Keep the vectors of all points of a document."""
        self.forget((document,))
        self._kept[document] = _Kept(ids, rows, rows.ctypes.data)
        self._bytes += rows.nbytes
        while self._bytes > self._most_bytes:
            self.forget((next(iter(self._kept)),))

    def forget(self, documents: Collection[str]) -> None:
        """Forget documents; one that is not here is no error."""
        for one in documents:
            known = self._kept.pop(one, None)
            if known is not None:
                self._bytes -= known.rows.nbytes

    def clear(self) -> None:
        """Forget all."""
        self._kept.clear()
        self._bytes = 0

    def nearest(self, vector: Sequence[float], documents: Sequence[str], limit: int) -> list[Near]:
        """Return the points of documents that are here, nearest first."""
        kept = [self._kept[one] for one in documents]
        for one in documents:
            self._kept.move_to_end(one)
        counts = np.fromiter((len(one.ids) for one in kept), dtype=np.int64, count=len(kept))
        ends = np.cumsum(counts)
        if not kept or not ends[-1]:
            return []
        places = np.fromiter((one.place for one in kept), dtype=np.uint64, count=len(kept))
        asked = np.zeros(self._width, dtype=np.int16)
        given = np.array(vector, dtype=np.float32)
        asked[: len(given)] = _whole(given / max(float(np.linalg.norm(given)), 1e-30))
        found = np.empty(int(ends[-1]), dtype=np.int32)
        arrays = (places, counts)
        self._products(
            *(one.ctypes.data for one in arrays), len(kept), asked.ctypes.data, self._width, found.ctypes.data
        )
        best = _greatest(found, limit)
        of_document = np.searchsorted(ends, best, side="right")
        rows = best - ends[of_document] + counts[of_document]
        return [
            Near(kept[document].ids[row], int(found[at]) / _ONE**2)
            for at, document, row in zip(best.tolist(), of_document.tolist(), rows.tolist(), strict=True)
        ]


def _whole(vectors: NDArray[np.float32]) -> NDArray[np.int16]:
    return np.rint(vectors * _ONE).astype(np.int16)


def _greatest(found: NDArray[np.int32], limit: int) -> NDArray[np.int64]:
    """Return where the greatest lie, greatest first."""
    some = np.arange(len(found))
    whole = len(found) // _BLOCK
    if whole > limit:
        # As many blocks as are wanted reach the bar, so that no smaller number is wanted: a fifth of the time of a partition of all.
        tops = found[: whole * _BLOCK].reshape(-1, _BLOCK).max(axis=1)
        some = np.flatnonzero(found >= np.partition(tops, whole - limit)[whole - limit])
    best: NDArray[np.int64] = some[np.argsort(-found[some], kind="stable")][:limit]
    return best


def _compiled_products(lanes: int) -> Compiled:
    """Return `products(places, counts, documents, asked, width, found)`.

    `places` are the addresses of each document's rows of shorts, `counts` how many it has, `asked` is a row, `width` a multiple of twice the lanes, `found` has room for one integer of 32 bits a row.
    """
    code = CodeWriter(lanes)
    kinds = (POINTER, POINTER, INT64, POINTER, INT64, POINTER)
    with (
        code.function("products", *kinds, public=True) as (places, counts, documents, asked, width, found),
        code.loop(documents, 1, [code.count(0)]) as document,
    ):
        rows = code.load(places, POINTER, document.at)
        first, count = document.carried[0], code.load(counts, INT64, document.at)
        with code.loop(count) as row:
            values = code.at(rows, INT16, code.mul(row.at, width))
            with code.loop(width, 2 * lanes, [code.no_integers()]) as part:
                one, other = (code.load(base, INT16, part.at, code.shorts_kind) for base in (asked, values))
                part.following[0] = code.build.add(part.carried[0], code.pairs(one, other))
            code.store(code.whole_total(part.carried[0]), found, INT32, code.add(first, row.at))
        document.following[0] = code.add(first, count)
    return compiled(str(code.module))
