"""What two engines made of the same text, compared: perplexity, the token each would have chosen, answers (F252)."""

import math
from collections.abc import Sequence
from typing import NamedTuple

_Z_95 = 1.959964


class Scored(NamedTuple):
    """One token of the text: its natural-log probability given what stands before it, and the token that was likeliest."""

    token: str
    logprob: float
    likeliest: str


class Answer(NamedTuple):
    """One greedy answer; `seconds` are those from its first token to its last one."""

    text: str
    tokens: int
    seconds: float


class Measured(NamedTuple):
    """What one engine made of everything; `scored` has a list for each window, None where the engine does not tell probabilities."""

    name: str
    size_bytes: int | None
    format: str | None
    scored: tuple[tuple[Scored, ...], ...] | None
    text_bytes: int
    answers: tuple[Answer, ...]


class Loss(NamedTuple):
    """One row of the comparison.

    `perplexity` is exp of the mean negative log-likelihood of a token, `bits_per_byte` the same for a byte of the text. `loss` is how much
    larger the perplexity is than the base's (0.05: 5 %), between `loss_low` and `loss_high` with 95 % confidence (of the mean difference over the
    same tokens; engines that cut the text into others are compared by tokens of the base, without limits). `same_token` is the share of tokens for which both hold the same one likeliest. `same_answers` is the share of answers that are equal to
    the base's, `same_start` the mean share of an answer's words before the first that differs. None: not known, or it is the base.
    """

    name: str
    size_bytes: int | None
    format: str | None
    tokens: int
    perplexity: float | None
    bits_per_byte: float | None
    loss: float | None
    loss_low: float | None
    loss_high: float | None
    same_token: float | None
    same_answers: float | None
    same_start: float | None
    tokens_per_second: float | None


def compare(base: Measured, other: Measured) -> Loss:
    """Return the row of `other` beside `base`, which may be the same."""
    mine = None if other.scored is None else [one for window in other.scored for one in window]
    theirs = None if base.scored is None else [one for window in base.scored for one in window]
    loss, low, high, same = None, None, None, None
    if mine and theirs and other is not base and [one.token for one in mine] != [one.token for one in theirs]:
        loss = math.expm1((_nats(mine) - _nats(theirs)) / len(theirs))
    elif mine and theirs and other is not base:
        loss, low, high = _loss([b.logprob - a.logprob for a, b in zip(mine, theirs, strict=True)])
        same = sum(a.likeliest == b.likeliest for a, b in zip(mine, theirs, strict=True)) / len(mine)
    pairs = [] if other is base else list(zip(base.answers, other.answers, strict=True))
    spent = sum(one.seconds for one in other.answers)
    return Loss(
        name=other.name,
        size_bytes=other.size_bytes,
        format=other.format,
        tokens=len(mine or ()),
        perplexity=math.exp(_nats(mine) / len(mine)) if mine else None,
        bits_per_byte=_nats(mine) / math.log(2) / other.text_bytes if mine else None,
        loss=loss,
        loss_low=low,
        loss_high=high,
        same_token=same,
        same_answers=sum(a.text == b.text for a, b in pairs) / len(pairs) if pairs else None,
        same_start=sum(_same_start(a.text, b.text) for a, b in pairs) / len(pairs) if pairs else None,
        tokens_per_second=sum(max(0, one.tokens - 1) for one in other.answers) / spent if spent else None,
    )


def _loss(differences: Sequence[float]) -> tuple[float, float, float]:
    # How much more each token costs, in nats; the perplexities' ratio is the exponential of the mean.
    count = len(differences)
    mean = sum(differences) / count
    variance = sum((one - mean) ** 2 for one in differences) / max(1, count - 1)
    half = _Z_95 * math.sqrt(variance / count)
    return math.expm1(mean), math.expm1(mean - half), math.expm1(mean + half)


def _nats(scored: Sequence[Scored]) -> float:
    return -sum(one.logprob for one in scored)


def _same_start(one: str, other: str) -> float:
    words, others = one.split(), other.split()
    longest = max(len(words), len(others))
    if not longest:
        return 1.0
    alike = 0
    for a, b in zip(words, others, strict=False):
        if a != b:
            break
        alike += 1
    return alike / longest


def windows(text: str, characters: int, most: int) -> list[str]:
    """Cut a text at white space into pieces of about so many characters, the first `most` of them; what is left over is dropped.

    Raises:
        ValueError: the text is shorter than one piece.
    """
    found: list[str] = []
    start = 0
    while start + characters <= len(text) and len(found) < most:
        end = text.rfind(" ", start + characters // 2, start + characters)
        end = start + characters if end < 0 else end
        found.append(text[start:end])
        start = end
    if not found:
        raise ValueError(f"The text has {len(text)} characters; a window has {characters}.")
    return found
