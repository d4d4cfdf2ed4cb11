"""A small decoder-only transformer: embeddings, attention, feed-forward, each with its residual and layer norm (F020)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sluice_cli.reference.attention import Floats, HeadedAttention, Mask, causal_mask
from sluice_cli.reference.cache import LayerCache

Tokens = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of a model; `inner` is the width inside the feed-forward part, `context` the longest sequence."""

    vocabulary: int = 64
    layers: int = 2
    width: int = 32
    heads: int = 4
    kv_heads: int = 2
    inner: int = 64
    context: int = 256


def layer_norm(x: Floats) -> Floats:
    """Return x with mean 0 and variance 1 over the last axis (Ba et al., "Layer Normalization", 2016; scale 1, shift 0)."""
    centred = x - x.mean(axis=-1, keepdims=True)
    return np.asarray(centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-5))


@dataclass(frozen=True, slots=True)
class Block:
    """One layer: x = LN(x + attention(x)), then x = LN(x + W₂ max(0, W₁ x)); Vaswani et al., 2017, section 3."""

    attention: HeadedAttention
    up: Floats
    down: Floats

    def __call__(self, x: Floats, mask: Mask, cache: LayerCache | None = None) -> Floats:
        """Return the layer's output for x (batch, n, width)."""
        x = layer_norm(x + self.attention(x, mask, cache))
        return layer_norm(x + np.maximum(0.0, x @ self.up) @ self.down)


@dataclass(frozen=True, slots=True)
class Transformer:
    """Token and position embeddings, blocks, and the token embedding again as the output layer."""

    shape: Shape
    tokens: Floats
    positions: Floats
    blocks: tuple[Block, ...]

    @classmethod
    def random(cls, shape: Shape, seed: int) -> "Transformer":
        """Return a model with weights drawn from N(0, 1 / inputs): it knows nothing, and does all that one does."""
        dice = np.random.default_rng(seed)

        def draw(inputs: int, outputs: int) -> Floats:
            return dice.normal(0.0, inputs**-0.5, (inputs, outputs))

        width, kv_width = shape.width, shape.width // shape.heads * shape.kv_heads
        blocks = tuple(
            Block(
                HeadedAttention(
                    shape.heads,
                    shape.kv_heads,
                    draw(width, width),
                    draw(width, kv_width),
                    draw(width, kv_width),
                    draw(width, width),
                ),
                draw(width, shape.inner),
                draw(shape.inner, width),
            )
            for _ in range(shape.layers)
        )
        return cls(
            shape,
            dice.normal(0.0, 1.0, (shape.vocabulary, width)),
            dice.normal(0.0, 1.0, (shape.context, width)),
            blocks,
        )

    def new_cache(self, batch: int, capacity: int) -> tuple[LayerCache, ...]:
        """Return an empty cache for each layer."""
        size = self.shape.width // self.shape.heads
        return tuple(LayerCache(batch, self.shape.kv_heads, capacity, size) for _ in self.blocks)

    def logits(
        self, tokens: Tokens, padding: NDArray[np.int64] | None = None, caches: tuple[LayerCache, ...] = ()
    ) -> Floats:
        """Return the logits of what follows each of `tokens` (batch, n): (batch, n, vocabulary).

        `padding` (batch,) says how many positions on the left of each sequence are padding: nobody looks at them, and positions count from behind
        them. With `caches` the tokens are taken to follow what these hold.
        """
        batch, n = tokens.shape
        held = caches[0].length if caches else 0
        skipped = np.zeros(batch, dtype=np.int64) if padding is None else padding
        places = np.maximum(0, np.arange(held, held + n)[None, :] - skipped[:, None])
        visible = np.arange(held + n)[None, :] >= skipped[:, None]
        mask = causal_mask(n, held + n)[None, None] & visible[:, None, None, :]
        x = self.tokens[tokens] + self.positions[places]
        for index, block in enumerate(self.blocks):
            x = block(x, mask, caches[index] if caches else None)
        return np.asarray(x @ self.tokens.T / np.sqrt(self.shape.width))
