"""Scaled dot-product attention, whole and block by block, with any number of query heads for each key and value head."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sluice_cli.reference.cache import LayerCache

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


def softmax(scores: Floats) -> Floats:
    """Return exp(x) / sum(exp(x)) over the last axis; the largest score is taken off first, so that nothing overflows."""
    raised = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True))


def causal_mask(queries: int, keys: int) -> Mask:
    """Return which of `keys` positions each of the last `queries` of them may look at: itself and all before; shape (queries, keys)."""
    return np.tril(np.ones((queries, keys), dtype=np.bool_), k=keys - queries)


def attention(q: Floats, k: Floats, v: Floats, mask: Mask | None = None) -> Floats:
    """Return softmax(Q Kᵀ / √d) V (F021; Vaswani et al., "Attention Is All You Need", 2017, equation 1).

    Shapes: q (…, n, d), k (…, m, d), v (…, m, e), mask (…, n, m) true where a query may look; the answer is (…, n, e). A query that may look at
    nothing gets zeros.
    """
    scores = q @ np.swapaxes(k, -1, -2) / np.sqrt(q.shape[-1])
    if mask is None:
        return np.asarray(softmax(scores) @ v)
    weights = softmax(np.where(mask, scores, np.finfo(np.float64).min))
    return np.asarray(np.where(mask, weights, 0.0) @ v)


def blockwise_attention(q: Floats, k: Floats, v: Floats, *, block: int, causal: bool = False) -> Floats:
    """Return the same as `attention`, reading keys and values `block` at a time and never holding all scores (F254, corrected).

    Each query keeps the largest score so far, the sum of exp(score - largest) and the weighted sum of values; when a larger score comes, both sums are
    scaled by exp(old largest - new largest). A softmax of each block by itself would not add up to the softmax of the row. Milakov and Gimelshein,
    "Online normalizer calculation for softmax" (2018); Dao et al., "FlashAttention" (2022), algorithm 1. Shapes as in `attention`.
    """
    if block < 1:
        raise ValueError("block is the number of keys read at a time: at least 1.")
    n, m = q.shape[-2], k.shape[-2]
    allowed = causal_mask(n, m) if causal else np.ones((n, m), dtype=np.bool_)
    largest = np.full((*q.shape[:-1], 1), -np.inf)
    total = np.zeros_like(largest)
    weighted = np.zeros((*q.shape[:-1], v.shape[-1]))
    for start in range(0, m, block):
        here = slice(start, start + block)
        scores = q @ np.swapaxes(k[..., here, :], -1, -2) / np.sqrt(q.shape[-1])
        scores = np.where(allowed[:, here], scores, -np.inf)
        new = np.maximum(largest, scores.max(axis=-1, keepdims=True))
        safe = np.where(np.isfinite(new), new, 0.0)  # nothing allowed yet: exp(-inf - 0) is 0
        shrink, raised = np.exp(largest - safe), np.exp(scores - safe)
        total = total * shrink + raised.sum(axis=-1, keepdims=True)
        weighted = weighted * shrink + raised @ v[..., here, :]
        largest = new
    return np.asarray(weighted / np.where(total > 0, total, 1.0))


@dataclass(frozen=True, slots=True)
class HeadedAttention:
    """Multi-head attention whose key and value heads are shared by groups of query heads (F249).

    `kv_heads` equal to `heads` is multi-head attention, 1 is multi-query attention (Shazeer, "Fast Transformer Decoding", 2019), between them is
    grouped-query attention (Ainslie et al., "GQA", 2023). Weights: wq (width, heads · d), wk and wv (width, kv_heads · d), wo (heads · d, width).
    """

    heads: int
    kv_heads: int
    wq: Floats
    wk: Floats
    wv: Floats
    wo: Floats

    def __post_init__(self) -> None:
        if self.kv_heads < 1 or self.heads % self.kv_heads:
            raise ValueError(
                f"{self.heads} query heads cannot be shared evenly by {self.kv_heads} key and value heads."
            )

    def __call__(self, x: Floats, mask: Mask, cache: LayerCache | None = None) -> Floats:
        """Return the attention's output for x (batch, n, width).

        With a cache the new keys and values are added to it, and queries look at all that it holds: `mask` is (…, n, m) with m held positions. The
        shape of `mask` has to fit (batch, 1, n, m) by broadcasting.
        """
        q, k, v = (
            self._split(x @ self.wq, self.heads),
            self._split(x @ self.wk, self.kv_heads),
            self._split(x @ self.wv, self.kv_heads),
        )
        if cache is not None:
            k, v = cache.update(k, v)
        group = self.heads // self.kv_heads
        out = attention(q, np.repeat(k, group, axis=1), np.repeat(v, group, axis=1), mask)
        batch, _, n, _ = out.shape
        return np.asarray(out.transpose(0, 2, 1, 3).reshape(batch, n, -1) @ self.wo)

    def _split(self, x: Floats, heads: int) -> Floats:
        batch, n, _ = x.shape
        return x.reshape(batch, n, heads, -1).transpose(0, 2, 1, 3)
