"""A database without room says so, loses nothing, and goes on when there is room again."""

from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from sluice.db import open_database
from sluice.errors import DependencyUnavailable
from sluice.testing import platform_settings

pytestmark = pytest.mark.integration


async def test_sqlite_without_room_says_so_and_goes_on_when_there_is(tmp_path: Path) -> None:
    database = open_database(platform_settings(tmp_path), "gateway")
    try:
        async with database.write() as session:
            await session.execute(text("CREATE TABLE kept (id INTEGER PRIMARY KEY, what BLOB)"))

        def keep(session: Session, *, pages: int) -> None:
            session.execute(text(f"PRAGMA max_page_count = {pages}"))  # a disk with so much room: SQLITE_FULL beyond it
            session.execute(text("INSERT INTO kept (what) VALUES (zeroblob(100000))"))

        with pytest.raises(DependencyUnavailable, match="The disk of gateway's database is full"):
            await database.transact(lambda session: keep(session, pages=4))
        with pytest.raises(DependencyUnavailable, match="until there is room"):
            async with database.write() as session:
                await session.run_sync(lambda session: keep(session, pages=4))
        await database.transact(lambda session: keep(session, pages=100_000))
        assert len(await database.rows(text("SELECT id FROM kept"))) == 1
    finally:
        await database.close()
