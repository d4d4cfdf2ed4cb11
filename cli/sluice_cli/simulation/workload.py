"""The requests that simulators work on: drawn at random, or a trace of one's own."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np


class Arrival(NamedTuple):
    """A request: when it comes (seconds from the first), and its tokens."""

    at: float
    prompt: int
    answer: int


class BadTrace(ValueError):
    """A trace that cannot be read; the sentence says where and why."""


def drawn(
    count: int,
    rate: float,
    prompt: float,
    answer: float,
    *,
    spread: float = 1.0,
    wave: float = 0.0,
    period_s: float = 3600.0,
    seed: int = 0,
) -> list[Arrival]:
    """Draw `count` requests of a Poisson process with `rate` a second on average.

    Lengths are log-normal with these means; `spread` is the standard deviation of their logarithm (0: all alike). `wave` from 0 to 1 lets the rate
    swing by that share of itself, once each `period_s`, beginning at its lowest (thinning: Lewis and Shedler, 1979).
    """
    dice = np.random.default_rng(seed)
    arrivals: list[Arrival] = []
    now = 0.0
    while len(arrivals) < count:
        now += float(dice.exponential(1 / (rate * (1 + wave))))
        if dice.random() * (1 + wave) > 1 - wave * np.cos(2 * np.pi * now / period_s):
            continue
        sizes = [
            max(1, round(float(mean * np.exp(spread * dice.normal() - spread**2 / 2)))) for mean in (prompt, answer)
        ]
        arrivals.append(Arrival(now, *sizes))
    return arrivals


def read_trace(lines: Iterable[str]) -> list[Arrival]:
    """Read a trace of JSON lines, in any order: `at` (seconds), `prompt_tokens` and `completion_tokens`, as `sluice usage export` writes them.

    Requests without an answer are left out. Times count from the first request.

    Raises:
        BadTrace: a line is no such object, or nothing is left.
    """
    found = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            one = _arrival(row)
        except (ValueError, TypeError, KeyError, AttributeError) as exc:
            raise BadTrace(f"line {number}: write an object with at, prompt_tokens and completion_tokens") from exc
        if one.answer > 0:
            found.append(one)
    if not found:
        raise BadTrace("it holds no request with an answer")
    found.sort()
    return [Arrival(one.at - found[0].at, one.prompt, one.answer) for one in found]


def _arrival(row: Mapping[str, Any]) -> Arrival:
    at, prompt, answer = float(row["at"]), int(row["prompt_tokens"]), int(row["completion_tokens"])
    if not np.isfinite(at) or prompt < 0 or answer < 0:
        raise ValueError("out of range")
    return Arrival(at, max(1, prompt), answer)
