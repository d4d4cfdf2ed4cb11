"""A second reading of what the first suspects a little: an encoder and a small network, asked about few texts only.

The n-grams let most texts pass in well under a millisecond. The encoder knows meanings and costs a hundred times as
much, so it reads one window of those few texts whose first logit is not low, and both logits together decide. The network looks at
every token in its surroundings, not at their mean alone: whether an order is given or spoken about hangs on a few words of a text.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sluice_guardrail.domain.ngrams import LONG, Grams, LinearHead, Scored, Span
from sluice_guardrail.domain.skeleton import skeleton

Floats = NDArray[np.float32]


class Reader(Protocol):
    """Reads a short text a second time."""

    def logit(self, text: str) -> float:
        """Return how likely a text is an attack, not calibrated; at most its first 112 tokens are read."""
        ...


@dataclass(frozen=True, slots=True)
class Network:
    """Filters over each token's vector, of which the strongest answer in a text counts, beside one hidden layer over the mean of all; and how the sum joins the first reading's logit. What the first gives less than `low` is not read again, a text of over `LONG` characters what it gives less than `low_long`: of many windows one is a little suspicious by chance."""

    filters: Floats
    filters_bias: Floats
    filters_out: Floats
    inner: Floats
    inner_bias: Floats
    inner_out: Floats
    bias: float
    weight_first: float
    weight_second: float
    shift: float
    low: float
    low_long: float

    def logit(self, tokens: Floats) -> float:
        """Return the network's own logit of a text by the vectors of its tokens, one in a row."""
        strongest = np.maximum((tokens @ self.filters).max(axis=0) + self.filters_bias, 0.0)
        mean = tokens.mean(axis=0)
        hidden = np.maximum(mean / np.linalg.norm(mean) @ self.inner + self.inner_bias, 0.0)
        return float(strongest @ self.filters_out + hidden @ self.inner_out) + self.bias

    def floor(self, size: int) -> float:
        """Return the first reading's logit from which on a text of that many characters is read again."""
        return self.low if size <= LONG else self.low_long

    def joined(self, first: float, second: float) -> float:
        """Return the calibrated logit of both readings."""
        return self.weight_first * first + self.weight_second * second + self.shift


@dataclass(frozen=True, slots=True)
class Cascade:
    """The two readings of prompts. Without a reader the first decides alone: fewer attacks are found, nothing fails."""

    head: LinearHead
    network: Network | None = None
    reader: Reader | None = None

    def best(self, text: str, read: Grams) -> Scored:
        """Return the part of a folded text that is most likely an attack."""
        spans = read.spans()
        if not spans:
            return Scored(0.0, 0, 0)
        logits = self.head.logits(read, spans)
        at = int(logits.argmax())
        logit, span = self.head.lowered(float(logits[at]), len(spans)), spans[at]
        network = self.network
        if network is not None and self.reader is not None and logit >= network.floor(read.size):
            logit = network.joined(logit, self.reader.logit(window_of(text, span)))
        return Scored(1.0 / (1.0 + math.exp(-max(-40.0, min(40.0, logit)))), *span)


def window_of(text: str, span: Span) -> str:
    """Return what the second reading reads of a text: the whole of a short one, else `LONG` characters around its most suspicious part."""
    start = max(0, min((sum(span) - LONG) // 2, len(text) - LONG))
    return skeleton(text)[start : start + LONG]
