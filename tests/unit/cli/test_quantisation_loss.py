"""What quantisations lose, by hand; and an engine over HTTP in the shape that vLLM answers."""

import json
import math

import httpx
import pytest

from sluice_cli.platform.errors import CommandFailed
from sluice_cli.quantisation.engine import Engine
from sluice_cli.quantisation.loss import Answer, Measured, Scored, compare, windows

BASE = Measured(
    "f16",
    200,
    "F16",
    ((Scored("a", -1.0, "a"), Scored("bc", -2.0, "x")), (Scored("d", -3.0, "d"),)),
    5,
    (Answer("one two three four", 5, 2.0), Answer("same", 2, 0.5)),
)


def test_perplexity_and_bits_of_one_engine() -> None:
    row = compare(BASE, BASE)
    assert row.perplexity == pytest.approx(math.exp(2.0))
    assert row.bits_per_byte == pytest.approx(6.0 / math.log(2) / 5)
    assert (row.tokens, row.loss, row.same_token, row.same_answers) == (3, None, None, None)
    assert row.tokens_per_second == pytest.approx((4 + 1) / 2.5)


def test_a_quantisation_beside_its_base() -> None:
    other = Measured(
        "q4",
        50,
        "Q4_0",
        ((Scored("a", -1.2, "a"), Scored("bc", -2.3, "bc")), (Scored("d", -3.1, "d"),)),
        5,
        (Answer("one two five", 4, 1.0), Answer("same", 2, 0.25)),
    )
    row = compare(BASE, other)
    assert row.loss == pytest.approx(math.expm1(0.2))
    half = 1.959964 * math.sqrt(0.01 / 3)  # the differences are 0.2, 0.3 and 0.1
    assert (row.loss_low, row.loss_high) == (
        pytest.approx(math.expm1(0.2 - half)),
        pytest.approx(math.expm1(0.2 + half)),
    )
    assert row.same_token == pytest.approx(2 / 3)
    assert (row.same_answers, row.same_start) == (0.5, pytest.approx((2 / 4 + 1) / 2))


def test_engines_that_tell_nothing_are_compared_by_answers() -> None:
    row = compare(BASE, BASE._replace(name="silent", scored=None))
    assert (row.perplexity, row.loss, row.same_token, row.same_answers) == (None, None, None, 1.0)


def test_engines_that_cut_the_text_into_other_tokens_are_compared_without_limits() -> None:
    row = compare(BASE, BASE._replace(name="other", scored=((Scored("abc", -5.0, "a"), Scored("d", -4.0, "d")),)))
    assert row.loss == pytest.approx(math.expm1((9.0 - 6.0) / 3))
    assert (row.loss_low, row.loss_high, row.same_token) == (None, None, None)
    assert row.bits_per_byte == pytest.approx(9.0 / math.log(2) / 5)


def test_windows_are_cut_at_spaces_and_lose_nothing_between_them() -> None:
    text = "one two three four five six seven eight"
    found = windows(text, 12, 10)
    assert found == ["one two", " three four", " five six", " seven"]
    assert text.startswith("".join(found))
    assert windows("x" * 25, 10, 10) == ["x" * 10, "x" * 10]
    assert len(windows(text, 12, 2)) == 2
    with pytest.raises(ValueError, match="has 39 characters"):
        windows(text, 40, 1)


def test_an_engine_that_echoes_its_prompt() -> None:
    def answered(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/tokenize":
            return httpx.Response(400, json={"error": {"message": "prompt: Field required"}})
        asked = json.loads(request.content)
        assert (asked["echo"], asked["prompt"], asked["logprobs"]) == (True, "a b", 1)
        told = {
            "tokens": ["a", " b", " c"],
            "token_logprobs": [None, -2.0, -0.1],
            "top_logprobs": [None, {" b": -2.0, " d": -0.5}, {" c": -0.1}],
        }
        usage = {"prompt_tokens": 2, "completion_tokens": 1}
        return httpx.Response(200, json={"choices": [{"text": "a b c", "logprobs": told}], "usage": usage})

    with Engine("http://engine/v1", "m", transport=httpx.MockTransport(answered)) as engine:
        assert engine.score("a b") == (Scored(" b", -2.0, " d"),)


def test_an_engine_that_does_not_tell_and_one_that_refuses() -> None:
    def silent(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/tokenize":
            return httpx.Response(404)
        return httpx.Response(
            200, json={"choices": [{"text": " c", "logprobs": None}], "usage": {"completion_tokens": 1}}
        )

    with Engine("http://engine/v1", "m", transport=httpx.MockTransport(silent)) as engine:
        assert engine.score("a b") is None
    refusing = httpx.MockTransport(lambda _: httpx.Response(429, text="slow down"))
    with (
        Engine("http://engine/v1", "m", transport=refusing) as engine,
        pytest.raises(CommandFailed, match="429: slow down"),
    ):
        engine.score("a b")
