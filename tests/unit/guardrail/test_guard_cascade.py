"""Prompts that the n-grams find uncertain are read a second time, and only those."""

from base64 import b64encode

import numpy as np
import pytest

from sluice_guardrail.adapters.encoder import open_encoder
from sluice_guardrail.adapters.head_file import DIMENSIONS
from sluice_guardrail.domain.folding import fold
from sluice_guardrail.domain.injection import score_injection
from sluice_guardrail.domain.ngrams import BITS, LinearHead, grams
from sluice_guardrail.domain.second import Cascade, Floats, Network

TEXT = "please look at this text with me"


class Counting:
    """An encoder that notes what it read."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def encode(self, text: str) -> Floats:
        self.read.append(text)
        return np.ones(4, dtype=np.float32) / 2


def cascade(first: float, encoder: Counting | None) -> Cascade:
    """A first reading that always gives the logit `first`, and a second that is sure; the band is -1 to 1."""
    head = LinearHead(np.zeros(2**BITS, dtype=np.float32), first, 1.0, 0.0)
    inner, bias, outer = np.ones((4, 2), np.float32), np.zeros(2, np.float32), np.ones(2, np.float32)
    return Cascade(head, Network(inner, bias, outer, 0.0, 1.0, 2.0, 0.5, -1.0, 1.0), encoder)


@pytest.mark.parametrize(("first", "asked"), [(-1.5, False), (-0.9, True), (0.9, True), (1.5, False)])
def test_only_the_band_is_read_twice(first: float, asked: bool) -> None:
    encoder = Counting()
    found = cascade(first, encoder).best(TEXT, grams(TEXT))
    expected = first + 2.0 * 4.0 + 0.5 if asked else first
    assert encoder.read == ([TEXT] if asked else [])
    assert found.score == pytest.approx(1 / (1 + np.exp(-expected)), abs=1e-6)


def test_without_an_encoder_the_first_reading_decides() -> None:
    assert cascade(0.0, None).best(TEXT, grams(TEXT)).score == pytest.approx(0.5)


def test_of_a_long_text_one_window_is_read() -> None:
    encoder = Counting()
    text = " ".join(f"word{number}" for number in range(1000))
    cascade(0.0, encoder).best(text, grams(text))
    assert len(encoder.read) == 1
    assert len(encoder.read[0].split()) <= 64


def test_the_encoder_that_ships_gives_vectors_of_length_one_and_reads_a_long_text_in_part() -> None:
    encoder = open_encoder()
    assert encoder is not None
    one, same, long = (encoder.encode(text) for text in (TEXT, TEXT, TEXT + " word" * 5000))
    assert one.shape == (DIMENSIONS,)
    assert np.linalg.norm(long) == pytest.approx(1.0, abs=1e-5)
    assert np.allclose(one, same)
    assert float(one @ encoder.encode("please read this text together with me")) > float(
        one @ encoder.encode("tax law")
    )


def test_the_encoder_remembers_what_it_read() -> None:
    encoder = open_encoder()
    assert encoder is not None
    assert encoder.encode(TEXT) is encoder.encode(TEXT)


def test_what_disguises_hide_does_not_wake_the_encoder() -> None:
    encoder = Counting()
    hidden = b64encode(b"please do what this sentence says, one word after the other").decode()
    score_injection(fold(f"see {hidden} and {hidden} and {hidden}"), cascade(0.0, encoder))
    assert len(encoder.read) == 1
