"""What a looker keeps is what the file says, whoever writes it: two processes write, one looks."""

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from sqlalchemy import Column, Integer, MetaData, Table, bindparam, func, literal, select, union_all

from sluice.sqlite_looker import SqliteLooker

ROWS = 120
THINGS = Table("things", MetaData(), Column("id", Integer, primary_key=True), Column("state", Integer))
ONE = select(THINGS.c.state).where(THINGS.c.id == bindparam("id"))
ONE_TOLD = "SELECT state FROM things WHERE id = :id"
SOME = union_all(
    select(literal("some"), func.count()).select_from(THINGS).where(THINGS.c.state == bindparam("state")),
    select(literal("all"), func.count()).select_from(THINGS),
)
SOME_TOLD = "SELECT 'some', count(*) FROM things WHERE state = :state UNION ALL SELECT 'all', count(*) FROM things"
# takes longer than the loop looks, is given up there and asked for in a thread
LONG = select(func.min(THINGS.c.state)).select_from(
    THINGS.join(THINGS.alias("b"), literal(1) == 1).join(THINGS.alias("c"), literal(1) == 1)
)
WRITER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA busy_timeout=0")
for line in sys.stdin:
    try:
        connection.execute(line).fetchall()
        said = "done"
    except sqlite3.OperationalError as exc:
        said = str(exc)
    print(said, flush=True)
"""
CHANGES = (
    "UPDATE things SET state = {state} WHERE id = {thing}",
    "DELETE FROM things WHERE id = {thing}",
    "REPLACE INTO things VALUES ({thing}, {state})",
)
TIDYING = ("PRAGMA wal_checkpoint(TRUNCATE)", "PRAGMA wal_checkpoint(PASSIVE)", "VACUUM")
WRITERS, THINGS_THERE, STATES = st.integers(0, 1), st.integers(0, 3), st.integers(0, 3)


class Process:
    """Another process with a connection of its own; a lock that somebody holds refuses what it does."""

    def __init__(self, file: Path) -> None:
        pipe = subprocess.PIPE
        self._made = subprocess.Popen([sys.executable, "-c", WRITER, str(file)], stdin=pipe, stdout=pipe, text=True)

    def does(self, statement: str) -> str:
        """Run a statement, and tell how it went."""
        self.begins(statement)
        return self.ended()

    def begins(self, statement: str) -> None:
        """Have a statement run, and do not wait for its end."""
        assert self._made.stdin is not None
        print(statement, file=self._made.stdin, flush=True)

    def ended(self) -> str:
        """Wait for the end of what was begun."""
        assert self._made.stdout is not None
        return self._made.stdout.readline().strip()

    def close(self) -> None:
        self._made.communicate()


class World(NamedTuple):
    """A file in WAL mode, two processes that write to it, and a connection of the looker's own process that does too."""

    file: Path
    writers: tuple[Process, Process]
    here: sqlite3.Connection

    def told(self, sql: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
        """Return what a connection finds that was opened just now."""
        with closing(sqlite3.connect(self.file)) as fresh:
            return fresh.execute(sql, values).fetchall()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    file = tmp_path / "things.sqlite"
    with closing(sqlite3.connect(file, isolation_level=None)) as here:
        here.execute("PRAGMA journal_mode=WAL")
        here.execute("CREATE TABLE things (id INTEGER PRIMARY KEY, state INTEGER)")
        writers = (Process(file), Process(file))
        yield World(file, writers, here)
        for writer in writers:
            writer.close()


class Looking(RuleBasedStateMachine):
    """Whatever the writers did, what is asked again is what a new connection finds."""

    world: World

    def __init__(self) -> None:
        super().__init__()
        self.open: set[int] = set()
        self.looker = SqliteLooker(str(self.world.file))

    @initialize()
    def begin_anew(self) -> None:
        self.world.here.execute("DELETE FROM things")
        self.world.here.executemany("INSERT INTO things VALUES (?, ?)", [(at, at) for at in range(4)])

    @rule(writer=WRITERS, thing=THINGS_THERE, state=STATES, change=st.sampled_from(CHANGES))
    def change(self, writer: int, thing: int, state: int, change: str) -> None:
        self.world.writers[writer].does(change.format(thing=thing, state=state))

    @rule(thing=THINGS_THERE, state=STATES)
    def change_here(self, thing: int, state: int) -> None:
        if not self.open:
            self.world.here.execute("REPLACE INTO things VALUES (?, ?)", (thing, state))

    @rule(writer=WRITERS)
    def begin(self, writer: int) -> None:
        if self.world.writers[writer].does("BEGIN IMMEDIATE") == "done":
            self.open.add(writer)

    @rule(writer=WRITERS, how=st.sampled_from(["COMMIT", "ROLLBACK"]))
    def end(self, writer: int, how: str) -> None:
        if writer in self.open:
            assert self.world.writers[writer].does(how) == "done"
            self.open.remove(writer)

    @rule(writer=WRITERS, how=st.sampled_from(TIDYING))
    def tidy(self, writer: int, how: str) -> None:
        self.world.writers[writer].does(how)

    @rule(thing=THINGS_THERE, state=STATES)
    def look(self, thing: int, state: int) -> None:
        for query, sql, values in ((ONE, ONE_TOLD, {"id": thing}), (SOME, SOME_TOLD, {"state": state})):
            told = self.world.told(sql, values)
            for _ in range(2):  # the second is kept
                assert in_the_loop(self.looker, query, values) == told

    def teardown(self) -> None:
        for writer in self.open:
            self.world.writers[writer].does("ROLLBACK")
        self.looker.close()


def in_the_loop(looker: SqliteLooker, query: Any, values: dict[str, Any]) -> Any:
    """Return what is found without a thread, and so without a loop."""
    with pytest.raises(StopIteration) as ended:
        looker.few(query, values, again=True).send(None)
    return ended.value.value


def test_what_is_kept_is_what_the_file_says(world: World) -> None:
    class Here(Looking):
        pass

    Here.world = world
    run_state_machine_as_test(Here, settings=settings(max_examples=40, stateful_step_count=50))


async def test_nothing_old_is_found_while_two_processes_write(world: World) -> None:
    """What a writer was told is written is what the next look finds."""
    one, other = world.writers
    world.here.executemany("INSERT INTO things VALUES (?, 0)", [(at,) for at in range(ROWS)])
    looker = SqliteLooker(str(world.file))
    for number in range(1, 151):
        other.begins(f"UPDATE things SET state = {number} WHERE id > 1")  # goes on beside the looks
        while one.does(f"UPDATE things SET state = {number} WHERE id = 0") != "done":
            pass
        for _ in range(2):
            assert await looker.few(ONE, {"id": 0}, again=True) == [(number,)]
        other.ended()
    looker.close()


async def test_what_was_looked_up_before_a_change_is_not_kept_after_it(world: World) -> None:
    one, _ = world.writers
    world.here.executemany("INSERT INTO things VALUES (?, 0)", [(at,) for at in range(ROWS)])
    looker = SqliteLooker(str(world.file))
    for number in range(1, 6):
        slow = asyncio.create_task(looker.few(LONG, {}, again=True))
        await asyncio.sleep(0.02)  # a thread reads the state before the change by now
        assert one.does(f"UPDATE things SET state = {number}") == "done"
        assert await looker.few(ONE, {"id": 0}, again=True) == [(number,)], "the new state is known"
        assert await slow in ([(number - 1,)], [(number,)])
        assert await looker.few(LONG, {}, again=True) == [(number,)]
    looker.close()
