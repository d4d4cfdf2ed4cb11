"""Schema migrations: plain Alembic revisions of one service, run by one process at a time."""

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from sluice.db import open_database
from sluice.settings import ConfigError, PlatformSettings

_SHARED_SCRIPT = Path(__file__).parent / "migration_env"


async def upgrade(platform: PlatformSettings, service: str, migrations: Path, revision: str = "head") -> None:
    """Bring the schema to a revision; several processes may call it at once, one does the work.

    `migrations` holds `versions/*.py`, plain Alembic revisions.

    Raises:
        ConfigError: PostgreSQL would put the tables into another schema than the service's.
    """
    database = open_database(platform, service)
    try:
        with _one_at_a_time(platform, service):
            async with database.engine.connect() as connection:
                await connection.run_sync(_upgrade, service, migrations, revision)
                await connection.commit()
    finally:
        await database.close()


def _script(migrations: Path) -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(_SHARED_SCRIPT))
    config.set_main_option("version_locations", str(migrations / "versions"))
    config.set_main_option("path_separator", "newline")
    return ScriptDirectory.from_config(config)


def _upgrade(connection: Connection, service: str, migrations: Path, revision: str) -> None:
    script = _script(migrations)
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": f"sluice-migrate-{service}"})
        connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{service}"'))
        if (schema := connection.scalar(text("SELECT current_schema()"))) != service:
            raise ConfigError(
                f"PostgreSQL looks for the tables of {service} in the schema `{schema}`, not in `{service}`: what stands between leaves out the setting "
                "`search_path`, as PgBouncer does with ignore_startup_parameters. Nothing was written. Let SLUICE_DATABASE_URL lead to PostgreSQL itself."
            )

    def steps(current: Any, _context: Any) -> Sequence[Any]:
        return script._upgrade_revs(revision, current)  # noqa: SLF001 - what Alembic's own `upgrade` command calls

    with EnvironmentContext(Config(), script, fn=steps) as environment:
        environment.configure(connection=connection, transactional_ddl=True, render_as_batch=True)
        environment.run_migrations()


@contextmanager
def _one_at_a_time(platform: PlatformSettings, service: str) -> Iterator[None]:
    # PostgreSQL has its advisory lock; for SQLite a lock file keeps two processes from migrating at once.
    if platform.database_url:
        yield
        return
    platform.data_dir.mkdir(parents=True, exist_ok=True)
    with (platform.data_dir / f".{service}.migrate.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
