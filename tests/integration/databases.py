"""Databases of a test's own: empty ones in a server that many tests share, and ones that have their schema already."""

import asyncio
import shutil
import tempfile
from pathlib import Path
from uuid import uuid4

import asyncpg

from sluice.migrations import upgrade
from sluice.settings import PlatformSettings
from sluice.testing import platform_settings

_PATTERNS: dict[tuple[str, Path], str | Path] = {}


def fresh_database(server: str) -> str:
    """Make an empty database in the PostgreSQL server and return its URL."""
    name = f"test_{uuid4().hex[:12]}"
    asyncio.run(_command(server, f'CREATE DATABASE "{name}"'))
    return _named(server, name)


async def set_up_schema(platform: PlatformSettings, service: str, migrations: Path) -> None:
    """Bring the database of a test to its schema; a new one becomes a copy of one that was migrated once."""
    if platform.database_url.startswith("sqlite"):
        await upgrade(platform, service, migrations)  # one file for several data folders
        return
    kind = _named(platform.database_url, "") if platform.database_url else "sqlite"  # each server has its own
    if (kind, migrations) not in _PATTERNS:
        _PATTERNS[kind, migrations] = await _pattern(platform.database_url, service, migrations)
    pattern = _PATTERNS[kind, migrations]
    if isinstance(pattern, Path):
        file = platform.data_dir / pattern.name
        if not file.exists():
            platform.data_dir.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(pattern, file)
    elif await _is_empty(platform.database_url):
        name = _name(platform.database_url)
        server = _named(platform.database_url, "postgres")
        await _command(server, f'DROP DATABASE "{name}"')
        await _command(server, f'CREATE DATABASE "{name}" TEMPLATE "{pattern}"')
    await upgrade(platform, service, migrations)


async def _pattern(database_url: str, service: str, migrations: Path) -> str | Path:
    if not database_url:
        folder = Path(tempfile.mkdtemp(prefix="sluice-pattern-"))
        platform = platform_settings(folder)
        await upgrade(platform, service, migrations)
        return platform.data_dir / f"{service}.sqlite"
    name = f"pattern_{uuid4().hex[:12]}"
    await _command(database_url, f'CREATE DATABASE "{name}"')
    await upgrade(platform_settings(Path("unused"), database_url=_named(database_url, name)), service, migrations)
    return name


async def _is_empty(database_url: str) -> bool:
    connection = await asyncpg.connect(database_url)
    try:
        found = "SELECT count(*) FROM information_schema.tables WHERE table_schema NOT IN ($1, $2)"
        return await connection.fetchval(found, "pg_catalog", "information_schema") == 0
    finally:
        await connection.close()


async def _command(database_url: str, command: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(command)
    finally:
        await connection.close()


def _name(url: str) -> str:
    return url.partition("?")[0].rsplit("/", 1)[1]


def _named(url: str, name: str) -> str:
    base, _, query = url.partition("?")
    other = f"{base.rsplit('/', 1)[0]}/{name}"
    return f"{other}?{query}" if query else other
