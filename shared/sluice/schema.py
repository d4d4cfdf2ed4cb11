"""Whether a database's schema is the one that a service's code expects, found out without loading Alembic.

Processes ask this at each start; Alembic and what it brings along take 9 MB that a process keeps until its end, and are
needed only where there is something to migrate.
"""

import ast
import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from sluice.db import Database, open_database
from sluice.errors import DependencyUnavailable
from sluice.settings import PlatformSettings


async def is_current(platform: PlatformSettings, service: str, migrations: Path) -> bool:
    """Tell whether the schema is at the newest revision; a database that does not answer is not."""
    database = open_database(platform, service)
    try:
        return await _current(database) == newest_revision(migrations)
    finally:
        await database.close()


async def wait_for_schema(platform: PlatformSettings, service: str, migrations: Path, seconds: float = 60.0) -> None:
    """Wait until another process has brought the schema up to date.

    Raises:
        DependencyUnavailable: it was not up to date in time.
    """
    newest = newest_revision(migrations)
    database = open_database(platform, service)
    deadline = time.monotonic() + seconds
    try:
        while await _current(database) != newest:
            if time.monotonic() > deadline:
                raise DependencyUnavailable(
                    f"The database of {service} is not at revision {newest} after {seconds:.0f} s; run `python -m sluice_{service} migrate`."
                )
            await asyncio.sleep(0.3)
    finally:
        await database.close()


def newest_revision(migrations: Path) -> str:
    """Return the one revision in `versions/` that no other follows."""
    known: set[str] = set()
    followed: set[str] = set()
    for file in sorted((migrations / "versions").glob("*.py")):
        for name, value in _assignments(file):
            if name == "revision":
                known.add(value)
            elif name == "down_revision":
                followed.add(value)
    newest = sorted(known - followed)
    if len(newest) != 1:
        raise ValueError(f"{migrations} has {len(newest)} newest revisions ({', '.join(newest)}); it must have one")
    return newest[0]


def _assignments(file: Path) -> Iterator[tuple[str, str]]:
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    yield target.id, node.value.value


async def _current(database: Database) -> str | None:
    try:
        async with database.engine.execution_options(sluice_read=True).connect() as connection:
            found = (await connection.scalars(text("SELECT version_num FROM alembic_version"))).all()
    except (SQLAlchemyError, OSError):
        return None
    return str(found[0]) if len(found) == 1 else None
