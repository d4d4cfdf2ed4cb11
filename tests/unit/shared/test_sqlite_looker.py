"""Single selects on a SQLite file: compiled once for lists of a length, in the loop if they are short and in a thread if not."""

import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy import JSON, Column, Integer, MetaData, String, Table, bindparam, func, literal, select, text, union_all
from sqlalchemy.exc import OperationalError

from sluice.sqlite_looker import SqliteLooker

ROWS = 5_000
THINGS = Table(
    "things", MetaData(), Column("id", Integer, primary_key=True), Column("name", String), Column("more", JSON)
)
NAMED = select(THINGS.c.id, THINGS.c.more).where(THINGS.c.name.in_(bindparam("names", expanding=True)))
SHORT = NAMED.where(THINGS.c.id <= bindparam("most"), THINGS.c.id.in_((1, 2, 3)))
LONG = select(func.count()).select_from(THINGS.alias("a").join(THINGS.alias("b"), literal(1) == 1))


@pytest_asyncio.fixture
async def looker(tmp_path: Path) -> AsyncIterator[SqliteLooker]:
    file = tmp_path / "things.sqlite"
    with sqlite3.connect(file) as made:
        made.execute("CREATE TABLE things (id INTEGER PRIMARY KEY, name TEXT, more TEXT)")
        made.executemany(
            "INSERT INTO things VALUES (?, ?, ?)", [(at, f"n{at}", f'{{"at": {at}}}') for at in range(ROWS)]
        )
    made.close()
    opened = SqliteLooker(str(file))
    yield opened
    opened.close()


async def test_lists_of_any_length_and_constants_are_bound(looker: SqliteLooker) -> None:
    for look in (looker.few, looker.rows):
        for names, found in (
            (["n2", "n9", "n3"], [(2, {"at": 2}), (3, {"at": 3})]),
            (("n1",), [(1, {"at": 1})]),
            ([], []),
            (["n3", "n1", "n2"], [(1, {"at": 1}), (2, {"at": 2}), (3, {"at": 3})]),
        ):
            assert await look(SHORT, {"names": names, "most": 5}) == found
    both = union_all(
        select(literal("one"), THINGS.c.id).where(THINGS.c.id == bindparam("most")), select(literal("two"), 7)
    )
    assert await looker.few(both, {"most": 4}) == [("one", 4), ("two", 7)]
    assert await looker.few(text("SELECT name FROM things WHERE id = :id"), {"id": 8}) == [("n8",)]


async def test_what_takes_long_goes_on_in_a_thread(looker: SqliteLooker) -> None:
    assert await looker.few(SHORT, {"names": ["n1"], "most": 5}) == [(1, {"at": 1})]
    assert not threads()  # it was answered in the loop
    assert await looker.few(LONG, {}) == [(ROWS * ROWS,)]
    assert threads() == {"sqlite-look_0"}
    assert await looker.few(LONG, {}) == [(ROWS * ROWS,)]  # asked for in a thread at once
    assert await looker.few(SHORT, {"names": ["n1"], "most": 5}) == [(1, {"at": 1})]


def threads() -> set[str]:
    return {one.name for one in threading.enumerate() if one.name.startswith("sqlite-look")}


async def test_nothing_can_be_changed(looker: SqliteLooker) -> None:
    for look in (looker.few, looker.rows):
        with pytest.raises(OperationalError, match="readonly"):
            await look(text("DELETE FROM things"), {})
        with pytest.raises(OperationalError, match="no such table"):
            await look(text("SELECT 1 FROM absent"), {})
    assert await looker.few(select(func.count()).select_from(THINGS), {}) == [(ROWS,)]


async def test_what_is_asked_again_is_kept_until_the_file_changes(looker: SqliteLooker, tmp_path: Path) -> None:
    query = select(THINGS.c.name).where(THINGS.c.id == bindparam("id"))
    first = await looker.few(query, {"id": 7}, again=True)
    assert first == [("n7",)]
    assert await looker.few(query, {"id": 7}, again=True) is first
    assert await looker.few(query, {"id": 8}, again=True) == [("n8",)], "other values are another question"
    assert await looker.few(query, {"id": 7}) is not first
    with sqlite3.connect(tmp_path / "things.sqlite") as other:
        for number in range(3):
            other.execute("UPDATE things SET name = ? WHERE id = 7", (f"changed {number}",))
            other.commit()
            assert await looker.few(query, {"id": 7}, again=True) == [(f"changed {number}",)]
        other.execute("UPDATE things SET name = 'not yet' WHERE id = 7")
        assert await looker.few(query, {"id": 7}, again=True) == [("changed 2",)]
        other.rollback()
        assert await looker.few(query, {"id": 7}, again=True) == [("changed 2",)]
    other.close()


@pytest.mark.parametrize("found", [0, 1])
async def test_what_is_kept_has_a_bound(looker: SqliteLooker, tmp_path: Path, found: int) -> None:
    bounded = SqliteLooker(str(tmp_path / "things.sqlite"), most_kept=1_700)  # three of 500 and some characters
    query = select(THINGS.c.name).where(THINGS.c.id == bindparam("id"), literal(1) == literal(found))
    kept = [await bounded.few(query, {"id": one}, again=True) for one in range(5)]
    assert [len(rows) for rows in kept] == [found] * 5
    assert await bounded.few(query, {"id": 4}, again=True) is kept[4]
    assert await bounded.few(query, {"id": 0}, again=True) is not kept[0], "also what finds nothing takes room"
    bounded.close()
    named = SqliteLooker(str(tmp_path / "things.sqlite"), most_kept=1_700)
    long = {"names": ["n" * 1_500], "most": 5}
    assert await named.few(SHORT, long, again=True) is not await named.few(SHORT, long, again=True)
    named.close()
