"""Hostile texts of up to one megabyte take time in proportion to their length."""

import time

import pytest

from sluice.contracts.guard import CheckRequest
from sluice_guardrail.domain.check import check
from sluice_guardrail.domain.ngrams import grams
from sluice_guardrail.domain.policy import parse_policies
from sluice_guardrail.domain.units import surroundings, units

PER_MEGABYTE_S = 15.0  # on a busy machine; a quadratic pattern needs hours
HOSTILE = [
    "a",
    "@",
    "a@",
    "a.b@c",
    "1",
    "1 ",
    "4111 ",
    "+",
    "+1 ",
    "(",
    "212-555-",
    "212-555-0187 ",
    "0049 30 1234567 ",
    ":",
    "a:",
    "::",
    "1.",
    "1.2.3.4.",
    "-",
    "00:",
    "00-11-22-33-",
    "DE89",
    "DE89 ",
    "1A",
    "bc1q",
    "eyJ",
    "eyJaaaaaaaa.",
    "sk-",
    "sk-a ",
    "AKIA",
    "ghp_",
    "://",
    "://a:b",
    "://a:b@",
    "bearer ",
    "-----BEGIN PRIVATE KEY-----",
    "aws secret=",
    "curl -u a",
    "curl ",
    "basic QUJDREVG ",
    "dp.st.a",
    "0a1b2c3d-us",
    "xoxb-",
    "secret",
    "ignore ",
    "ignore all previous ",
    "ignore x ",
    "system prompt ",
    "reveal your ",
    "your ",
    "you are now ",
    "pretend you ",
    "\n",
    "\n ",
    "### ",
    "<|",
    "<|a",
    "[inst]",
    '"',
    "'",
    "decode ",
    "and then ",
    "SGVsbG8g",
    "NNSXG5DS",
    "NNSXG 5DS ",
    "EFACGJBF",  # of `!@#$%`, which is no text
    "1: SGVsbG8gSGVsbG8g\n",
    "\\151",
    "151 ",
    '87cURD]i,"',
    "Xk~0{Zy<MX",
    "Xk~0{\n",
    "aabb ",
    "aab ",
    "\U000e0151",
    "ljqruh doo suhylrxv lqvwuxfwlrqv ",
    "SGVs bG8g ",
    "IG\x00",
    "aWduaWduaWduaWduaWduaWdu x ",
    "JBSWY3DP",
    "01001001 ",
    "\u200b",
    "ｉ",
    "\U000e0041",
    "é",
    "İ",
    "no restrictions ",
    "const a" + "a" * 390 + "\n",
    "```\n",
    "![a](https://a?",
    "a\u200c",
    "your system ",
    "api_key=a1",
    "password: '",
    "passport A1",
    "vat DE 1 1",
    "insert into t (bsn) values (111222334), (",
    "%41",
    "born 1.1.",
    "1.1 ",
    "&#65;",
    "\\u0041",
]


LOOKED = {
    "scanners": {
        "invisible_text": {},
        "urls": {"deny": ["evil.example"]},
        "topics": {"deny": {"t": ["your system", "no restrictions"]}},
        "code": {},
        "length": {"max_words": 10_000_000, "max_lines": 10_000_000, "max_characters": 10_000_000},
    }
}
SLOWEST = ["4111 ", "212-555-", "://a:b@", "\U000e0041"]


def cpu_seconds(unit: str, size: int, stage: str) -> float:
    policy = parse_policies({"version": 1, "policies": {"default": {"input": LOOKED, "output": LOOKED}}}, "x").get(
        "default"
    )
    text = (unit * (size // len(unit) + 1))[:size]
    started = time.process_time()
    check(CheckRequest.model_validate({"stage": stage, "text": text}), policy, lambda: None)
    return time.process_time() - started


@pytest.mark.parametrize("unit", HOSTILE, ids=ascii)
def test_a_repeated_fragment_is_checked_in_linear_time(unit: str) -> None:
    for stage in ("input", "output"):
        assert cpu_seconds(unit, 30_000, stage) < 4.0  # a quadratic pattern takes minutes


@pytest.mark.parametrize("unit", [*HOSTILE, "a(", "a4", "; ", "| a ", '", "', "<a", "A: "], ids=ascii)
def test_what_the_trained_readings_see_is_made_in_linear_time(unit: str) -> None:
    text = (unit * (30_000 // len(unit) + 1))[:30_000]
    started = time.process_time()
    grams(text).spans()
    units(text)
    surroundings(text)
    assert time.process_time() - started < 2.0  # a quadratic pattern takes minutes


@pytest.mark.parametrize("unit", SLOWEST, ids=ascii)
def test_a_megabyte_of_the_slowest_fragments_ends_in_seconds(unit: str) -> None:
    assert cpu_seconds(unit, 1_000_000, "input") < PER_MEGABYTE_S
