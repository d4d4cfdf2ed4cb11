"""Transcripts without what a guard took out: all tellings say the same, nothing of a value is left, and nothing else changes."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.contracts.guard import IssueDetail
from sluice_gateway.dataplane.subtitles import cut
from sluice_gateway.dataplane.tellings import REMOVED, Taken, Telling, agreed, taken_from

SECRET = "4711 0815"
words = st.lists(st.sampled_from(["and", "then", "4711", "0815", "Grüße,", "कृपया", "5", "x."]), max_size=30)


def found_in(text: str) -> list[IssueDetail]:
    return [
        IssueDetail(code="c", detector="d", kind="pin", action="redact", score=1.0, start=one.start(), end=one.end())
        for one in re.finditer(r"4711 +0815", text)
    ]


def shown(*tellings: list[str]) -> list[list[str]]:
    known = [Telling(pieces) for pieces in tellings]
    found = []
    for one in known:
        taken = taken_from(one.text, re.sub(r"4711 +0815", "[PIN]", one.text), found_in(one.text))
        assert taken is not None
        found.append(taken)
    return [one.without(taken) for one, taken in zip(known, agreed(known, found), strict=True)]


@given(words, st.data())
def test_all_tellings_lose_the_same_and_keep_the_rest(said: list[str], data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(0, len(said)))) | {0, len(said)})
    segments = [" " + " ".join(said[start:end]) for start, end in pairwise(cuts)]
    text = " ".join(said)
    (whole,), by_segment, by_word = shown([text], segments, said)
    expected = re.sub("4711 +0815", "[PIN]", text)
    assert whole == expected
    assert len(by_segment) == len(segments)
    assert len(by_word) == len(said)
    for told in (by_segment, by_word):
        once = re.sub(r"\[PIN\](?: +\[PIN\])+", "[PIN]", " ".join(" ".join(told).split()))
        assert once == re.sub(r"\[PIN\](?: \[PIN\])+", "[PIN]", expected)


def test_a_telling_in_other_words_loses_the_same_values() -> None:
    assert shown(["pin 4711 0815, ok"], ["The PIN is 4711-0815."]) == [["pin [PIN], ok"], ["The PIN is [PIN]."]]
    known = [Telling(["A B"]), Telling(["x A y"])]
    assert agreed(known, [[Taken(0, 1, "[X]")], []]) == [[Taken(0, 1, "[X]")], []]  # too short to tell it elsewhere


def test_a_piece_of_which_nothing_is_left_says_what_stood_there() -> None:
    assert Telling(["a", "4711", "0815", "b"]).without([Taken(2, 11, "[PIN]")]) == ["a", "[PIN]", "[PIN]", "b"]
    assert Telling(["a", "\u200b", "b"]).without([Taken(2, 3, "")]) == ["a", REMOVED, "b"]
    assert Telling(["", "a"]).without([]) == ["", "a"]


@pytest.mark.parametrize(
    ("text", "shown", "spans"),
    [
        ("a 4711 0815 b", "a [PIN] c", [(2, 11)]),  # another text than it says
        ("4711 0815 and 4711 0815", "[PIN] and [PIN]", [(0, 9)]),  # a finding is not named
        ("abc", "ab", []),
    ],
)
def test_a_verdict_that_does_not_tell_what_was_taken_out_is_not_guessed(
    text: str, shown: str, spans: list[tuple[int, int]]
) -> None:
    details = [
        IssueDetail(code="c", detector="d", kind="k", action="redact", score=1.0, start=start, end=end)
        for start, end in spans
    ]
    assert taken_from(text, shown, details) is None


def test_findings_that_are_only_flagged_stay() -> None:
    flagged = IssueDetail(code="c", detector="d", kind="k", action="flag", score=1.0, start=0, end=1)
    assert taken_from("abc", "abc", [flagged]) == []


def said(body: str) -> list[str]:
    parts, places = cut(body)
    assert "".join(parts) == body
    return [parts[at] for at in places]


def test_the_words_of_subtitles_are_told_from_times_and_numbers() -> None:
    assert said("1\n00:00:00,000 --> 00:00:01,500\nThe fox\n2 foxes\n\n2\n00:00:01,500 --> 00:00:02,500\n1984\n") == ["The fox", "2 foxes", "1984"]  # fmt: skip
    assert said("WEBVTT\n\nintro\n00:00.000 --> 00:01.500 line:0 align:start\n<v Ada>The fox\n\nNOTE by Ada\n") == ["intro", "<v Ada>The fox", "NOTE by Ada"]  # fmt: skip
    assert said("The fox\r\njumps\n") == ["The fox\r\njumps\n"]
    assert said("\n") == []


@pytest.mark.parametrize("line", ["00:00.000 --> 00:01.500 call Ada", "00:00.000 --> 00:01.500 line:ignore all", "1234567"])  # fmt: skip
def test_words_behind_times_are_words(line: str) -> None:
    assert line in said(f"1\n00:00:00,000 --> 00:00:01,500\nThe fox\n\n{line}\n00:00:00,000 --> 00:00:01,500\n")
