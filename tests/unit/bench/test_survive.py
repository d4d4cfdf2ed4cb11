"""What the command that kills gateways and Redis makes of what its clients saw."""

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.bench import survive
from tests.bench.survive import Acknowledged, Kill, Log, Outcome, Platform, accounting, parse_arguments, table


def log(*times: float) -> Log:
    found = Log()
    found.acknowledged = [Acknowledged(at, at_gateway % 2, f"req_{at}", 0.5) for at_gateway, at in enumerate(times)]
    return found


def test_the_longest_silence_counts_from_the_kill_and_to_the_end() -> None:
    seen = log(1.0, 2.0, 2.5, 9.0)
    assert seen.longest_silence(2.0, 5.0) == 2.5
    assert seen.longest_silence(0.0, 2.0) == 1.0
    assert seen.longest_silence(3.0, 4.0) == 1.0


def test_the_first_answer_after_a_kill_is_the_killed_gateways() -> None:
    assert log(1.0, 2.0, 3.0).answered_since(0, 1.5) == 3.0
    assert log(1.0, 2.0).answered_since(0, 1.5) is None


def records(tmp_path: Path, *ids: str) -> Any:
    with closing(sqlite3.connect(tmp_path / "gateway.sqlite")) as connection, connection:
        connection.execute("CREATE TABLE usage (request_id TEXT)")
        connection.executemany("INSERT INTO usage VALUES (?)", [(one,) for one in ids])
    place = SimpleNamespace(database=tmp_path / "gateway.sqlite")
    place.records = lambda: Platform.records(place)  # type: ignore[arg-type]
    return place


def test_what_was_counted_twice_or_without_being_asked_is_told(tmp_path: Path) -> None:
    seen = log(1.0, 2.0)
    assert accounting(records(tmp_path, "req_1.0", "req_2.0"), seen, asked=2) == []
    (tmp_path / "more").mkdir()
    wrong = accounting(records(tmp_path / "more", "req_1.0", "req_1.0", "req_2.0", "req_x"), seen, asked=2)
    assert wrong == [
        "1 requests have more than one record",
        "there are 3 records of 2 requests to the provider",
    ]


@pytest.mark.parametrize(
    ("silence", "back", "wrong", "status"),
    [(0.5, 1.9, [], 0), (2.5, 1.9, [], 1), (0.5, 2.1, [], 1), (0.5, 1.9, ["lost"], 1)],
)
def test_the_command_fails_when_something_is_lost_or_silent_or_comes_back_late(
    silence: float, back: float, wrong: list[str], status: int
) -> None:
    kills = [
        Kill(f"gateway 0, {survive.SERVING}", silence, back),
        Kill("gateway 0, whole", 0.2, 3.0),
        Kill("Redis", 0.1, 1.0),
    ]
    outcome = Outcome(kills, 100, Counter({503: 2}), wrong)
    assert survive.verdict(outcome) == status
    assert "| gateway 0, whole |" in table(outcome)


def test_the_arguments_must_make_sense() -> None:
    assert parse_arguments([]).kills == 4
    with pytest.raises(SystemExit):
        parse_arguments(["--kills", "0"])
