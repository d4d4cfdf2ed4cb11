"""The soak's arithmetic, and how its clients go away."""

import pytest
from tests.bench.aborts import MOST_WORDS, Abort, plan, request_bytes
from tests.bench.loadgen import Target
from tests.bench.mock import WORDS, Counters
from tests.bench.soak import MIB, Look, Looks, not_closed, parse_arguments, parts, table


def look(requests: int, mib: float) -> Look:
    return Look(requests, 0, int(mib * MIB), 90 * MIB, 50 * MIB)


def test_the_highest_look_counts_against_the_highest_of_the_warm_up() -> None:
    looks = Looks([look(1, 96.0), look(2, 100.0)], [look(3, 98.0), look(4, 104.0), look(5, 97.0)])
    assert looks.base == 100 * MIB
    assert looks.growth == pytest.approx(0.04)


def test_memory_that_falls_has_not_grown() -> None:
    assert Looks([look(1, 100.0)], [look(2, 95.0)]).growth == pytest.approx(-0.05)


def test_the_table_marks_the_warm_up() -> None:
    assert table(Looks([look(1000, 100.0)], [look(2000, 104.0)])).splitlines()[2:] == [
        "| 1,000 | 0 | 100.0 | warm-up | 90.0 | 50.0 |",
        "| 2,000 | 0 | 104.0 | +4.0% | 90.0 | 50.0 |",
    ]


def test_parts_add_up_and_none_is_empty() -> None:
    assert parts(10, 3) == [3, 3, 4]
    assert parts(2, 5) == [1, 1]


@pytest.mark.parametrize(("begun", "cut", "said"), [(5, 5, False), (5, 4, True), (4, 4, True)])
def test_every_aborted_stream_must_be_stopped_upstream(begun: int, cut: int, said: bool) -> None:
    complaint = not_closed(Counters(7, 10, 2), Counters(7, 10 + begun, 2 + cut), 5)
    assert (complaint is not None) is said


def test_clients_go_after_every_count_of_words_in_both_manners() -> None:
    plans = [plan(number) for number in range(2 * MOST_WORDS)]
    assert set(plans) == {Abort(words, reset) for words in range(1, MOST_WORDS + 1) for reset in (False, True)}
    assert MOST_WORDS < WORDS


def test_the_request_carries_the_gateways_headers_and_the_bodys_length() -> None:
    head, _, body = request_bytes(Target(8080, headers=("Authorization: Bearer k",)), b"{}").partition(b"\r\n\r\n")
    assert head.splitlines()[0] == b"POST /v1/chat/completions HTTP/1.1"
    assert {b"Content-Length: 2", b"Authorization: Bearer k"} <= set(head.splitlines())
    assert body == b"{}"


def test_the_whole_soak_is_half_a_million_requests_and_two_thousand_aborts() -> None:
    found = parse_arguments([])
    assert (found.requests, found.aborts) == (500_000, 2_000)
    assert parse_arguments(["--short"]).requests < found.requests
