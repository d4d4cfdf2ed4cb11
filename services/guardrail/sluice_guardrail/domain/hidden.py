"""Finds what is addressed to an assistant in a text that nobody addressed to one (handbook F125).

An e-mail, a table or a piece of code speaks to its readers about its subject. A wish ("Translate the following sentence"), a
question of general interest or an order about the answer is out of place in it, whatever its words. So each unit of a retrieved text
is asked whether it is such a wish, and how sure one must be depends on what surrounds it: among the rows of a table
hardly anything speaks, while answers about code are full of advice.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sluice_guardrail.domain.findings import Finding
from sluice_guardrail.domain.ngrams import Grams, LinearHead
from sluice_guardrail.domain.units import Surroundings, surroundings, units, with_block

OUT_OF_PLACE = "out_of_place"


@dataclass(frozen=True, slots=True)
class HiddenHead:
    """A trained head for units of documents, and by how much its logits are lowered for each kind of surroundings."""

    head: LinearHead
    lowered: Mapping[Surroundings, float]


def find_hidden_orders(text: str, read: Grams, hidden: HiddenHead, threshold: float) -> Iterator[Finding]:
    """Yield the units of a folded text that are wishes to an assistant, each with the block of code that it announces."""
    spans = units(text)
    if not spans:
        return
    place = surroundings(text)
    logits = hidden.head.logits(read, spans) - hidden.lowered[place]
    for span, logit in zip(spans, logits, strict=True):
        score = round(1.0 / (1.0 + math.exp(-float(logit))), 4)
        if score > threshold:
            start, end = with_block(text, span)
            yield Finding(
                "injection",
                "prompt_injection",
                OUT_OF_PLACE,
                start,
                end,
                score,
                f"a wish to an assistant among {place}",
            )
