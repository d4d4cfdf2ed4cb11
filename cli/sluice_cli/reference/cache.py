"""The KV cache: keys and values of earlier positions, so that each new token costs one position instead of all."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class LayerCache:
    """Keys and values of one layer, in arrays that are allocated once (F248); shapes (batch, kv_heads, positions, head size)."""

    def __init__(self, batch: int, kv_heads: int, capacity: int, head_size: int) -> None:
        self._keys = np.zeros((batch, kv_heads, capacity, head_size))
        self._values = np.zeros_like(self._keys)
        self.length = 0

    @property
    def nbytes(self) -> int:
        """Bytes that are allocated, used or not."""
        return self._keys.nbytes + self._values.nbytes

    def update(self, keys: Floats, values: Floats) -> tuple[Floats, Floats]:
        """Add new positions behind those held, and return views of all.

        Raises:
            ValueError: the new positions do not fit into the capacity.
        """
        end = self.length + keys.shape[2]
        if end > self._keys.shape[2]:
            raise ValueError(f"The cache holds {self._keys.shape[2]} positions; {end} are too many.")
        self._keys[:, :, self.length : end], self._values[:, :, self.length : end] = keys, values
        self.length = end
        return self.get()

    def get(self) -> tuple[Floats, Floats]:
        """Return views of all keys and values held."""
        return self._keys[:, :, : self.length], self._values[:, :, : self.length]
