"""A second reading of what the first could not decide: an encoder and a small network, asked only in the uncertain band.

The n-grams decide the clear cases in well under a millisecond. The encoder knows meanings and costs a hundred times as
much, so it reads one window of those few texts whose first score lies in the band.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sluice_guardrail.domain.ngrams import LONG, Grams, LinearHead, Scored, Span
from sluice_guardrail.domain.skeleton import skeleton

Floats = NDArray[np.float32]


class Encoder(Protocol):
    """Gives the meaning of a short text as a vector of length one."""

    def encode(self, text: str) -> Floats:
        """Return the vector of a text, of which at most the first 128 tokens are read."""
        ...


@dataclass(frozen=True, slots=True)
class Network:
    """One hidden layer over a text's vector, and how its logit joins that of the first reading."""

    inner: Floats
    inner_bias: Floats
    outer: Floats
    outer_bias: float
    weight_first: float
    weight_second: float
    shift: float
    low: float
    high: float

    def logit(self, vector: Floats) -> float:
        """Return the network's own logit."""
        return float(np.maximum(vector @ self.inner + self.inner_bias, 0.0) @ self.outer) + self.outer_bias

    def joined(self, first: float, vector: Floats) -> float:
        """Return the calibrated logit of both readings."""
        return self.weight_first * first + self.weight_second * self.logit(vector) + self.shift


@dataclass(frozen=True, slots=True)
class Cascade:
    """The two readings of prompts. Without an encoder the first decides alone: fewer attacks are found, nothing fails."""

    head: LinearHead
    network: Network | None = None
    encoder: Encoder | None = None

    def best(self, text: str, read: Grams) -> Scored:
        """Return the part of a folded text that is most likely an attack."""
        spans = read.spans()
        if not spans:
            return Scored(0.0, 0, 0)
        logits = self.head.logits(read, spans)
        at = int(logits.argmax())
        logit, span = self.head.lowered(float(logits[at]), len(spans)), spans[at]
        network = self.network
        if network is not None and self.encoder is not None and network.low <= logit <= network.high:
            logit = network.joined(logit, self.encoder.encode(window_of(text, span)))
        return Scored(1.0 / (1.0 + math.exp(-max(-40.0, min(40.0, logit)))), *span)


def window_of(text: str, span: Span) -> str:
    """Return what the encoder reads of a text: the whole of a short one, else `LONG` characters around its most suspicious part."""
    start = max(0, min((sum(span) - LONG) // 2, len(text) - LONG))
    return skeleton(text)[start : start + LONG]
