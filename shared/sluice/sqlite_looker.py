"""Single selects on a SQLite file, past SQLAlchemy: for what every request asks."""

import asyncio
import logging
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, cast
from weakref import WeakKeyDictionary

from sqlalchemy import ClauseElement, Executable
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.sql.compiler import SQLCompiler

_log = logging.getLogger(__name__)
_LOOKERS = 2
_BUSY_MS = 10_000
_STEPS = 10_000  # of SQLite's machine, three quarters of a millisecond
_NEAR = 2  # a select that needs more than so many times these steps is given up in the loop and asked for in a thread,
_LONG_S = 30.0  # and so are the next of its kind for so long
_MOST_PLANS = 64
_MOST_KEPT = 4_000_000  # characters of questions and answers that are kept
_EACH = 500  # what each of them counts for beside its characters: one that found nothing is not free
_INTERRUPTED = "interrupted"
_SQLITE = sqlite.dialect()


class _Plan:
    """A select as SQLite is asked it, for lists of certain lengths."""

    def __init__(self, statement: ClauseElement, values: Mapping[str, Any]) -> None:
        compiled = statement.compile(dialect=_SQLITE)
        assert isinstance(compiled, SQLCompiler)
        expanded = compiled.construct_expanded_state(dict(values))
        columns = getattr(statement, "selected_columns", ())
        made = [column.type.dialect_impl(_SQLITE).result_processor(_SQLITE, None) for column in columns]
        self.sql = expanded.statement
        _log.debug("%s", self.sql)
        self.after = 0.0
        """From when on it may be asked for in the loop."""
        self._order = tuple(expanded.positiontup or ())
        self._lists = {name: tuple(names) for name, names in expanded.parameter_expansion.items() if name in values}
        given = {*values, *(one for names in self._lists.values() for one in names)}
        self._constant = {name: value for name, value in expanded.parameters.items() if name not in given}
        self._convert = [(at, convert) for at, convert in enumerate(made) if convert is not None]

    def parameters(self, values: Mapping[str, Any]) -> tuple[Any, ...]:
        given = dict(self._constant)
        for name, value in values.items():
            if name in self._lists:
                given.update(zip(self._lists[name], value, strict=True))
            else:
                given[name] = value
        return tuple([given[name] for name in self._order])

    def rows(self, connection: sqlite3.Connection, parameters: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = connection.execute(self.sql, parameters).fetchall()
        for at, convert in self._convert:
            found = [(*row[:at], convert(row[at]), *row[at + 1 :]) for row in found]
        return found


class _Kept:
    """Answers of one state of the file."""

    def __init__(self, most: int) -> None:
        self.version: int | None = None
        self._most = most
        self._rows: dict[tuple[_Plan, tuple[Any, ...]], list[tuple[Any, ...]]] = {}
        self._characters = 0

    def is_of(self, version: int | None) -> bool:
        """Tell whether what is kept is of this state; otherwise forget it."""
        if version is not None and version == self.version:
            return True
        self.version = version
        self._forget()
        return False

    def get(self, plan: _Plan, parameters: tuple[Any, ...]) -> list[tuple[Any, ...]] | None:
        return self._rows.get((plan, parameters))

    def keep(self, version: int | None, plan: _Plan, parameters: tuple[Any, ...], rows: list[tuple[Any, ...]]) -> None:
        if version is None or version != self.version:
            return
        size = (
            _EACH + sum(len(cell) for row in (parameters, *rows) for cell in row if isinstance(cell, str)) + len(rows)
        )
        if self._characters + size > self._most:
            self._forget()
        if size <= self._most:
            self._rows[plan, parameters] = rows
            self._characters += size

    def _forget(self) -> None:
        self._rows.clear()
        self._characters = 0


class SqliteLooker:
    """Runs single selects on a SQLite file, each in one step; it can change nothing.

    A statement is compiled once for all lists of one length and then handed to the driver as it is: SQLAlchemy's own way from
    a compiled statement to its rows takes four times as long as a select of five rows by their keys.
    """

    def __init__(self, file: str, *, most_kept: int = _MOST_KEPT) -> None:
        self._file = file
        self._threads = ThreadPoolExecutor(_LOOKERS, thread_name_prefix="sqlite-look")
        self._mine = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._near: sqlite3.Connection | None = None
        self._used = 0
        self._plans: WeakKeyDictionary[ClauseElement, dict[tuple[int, ...], _Plan]] = WeakKeyDictionary()
        self._kept = _Kept(most_kept)

    async def rows(self, statement: Executable, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Run a select in a thread; raises what SQLAlchemy would."""
        plan = self._plan(statement, values)
        return await self._far(plan, plan.parameters(values))

    async def few(
        self, statement: Executable, values: Mapping[str, Any], *, again: bool = False
    ) -> list[tuple[Any, ...]]:
        """Run a select here, and in a thread if it takes long or the file is held; raises what SQLAlchemy would.

        What is asked `again` and again with the same values is kept until anybody has changed the file; its rows are not to be changed.
        """
        plan = self._plan(statement, values)
        parameters = plan.parameters(values)
        if not again:
            return await self._found(plan, parameters)
        if self._kept.is_of(self._version()) and (kept := self._kept.get(plan, parameters)) is not None:
            return kept
        before = self._kept.version  # was read before the rows, which may be newer and never older
        found = await self._found(plan, parameters)
        self._kept.keep(before, plan, parameters, found)
        return found

    async def _found(self, plan: _Plan, parameters: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        now = time.monotonic()
        if now >= plan.after:
            self._used = 0
            try:
                with _driver_errors(plan.sql):
                    return plan.rows(self._here(), parameters)
            except OperationalError as exc:  # it takes long, or somebody holds the file just now
                if _INTERRUPTED in str(exc):
                    plan.after = now + _LONG_S
        return await self._far(plan, parameters)

    def _here(self) -> sqlite3.Connection:
        if self._near is None:
            self._near = self._open(0)
            self._near.set_progress_handler(self._enough, _STEPS)
        return self._near

    def _version(self) -> int | None:
        """Return SQLite's number of the file's state, another one after each change by any other connection; None if the file is held."""
        try:
            row = self._here().execute("PRAGMA data_version").fetchone()
        except sqlite3.OperationalError:
            return None
        return int(row[0])

    def _enough(self) -> bool:
        self._used += 1
        return self._used > _NEAR

    async def _far(self, plan: _Plan, parameters: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._in_thread, plan, parameters)

    def _in_thread(self, plan: _Plan, parameters: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        with _driver_errors(plan.sql):
            connection: sqlite3.Connection | None = getattr(self._mine, "connection", None)
            if connection is None:
                connection = self._mine.connection = self._open(_BUSY_MS)
            return plan.rows(connection, parameters)

    def _plan(self, statement: Executable, values: Mapping[str, Any]) -> _Plan:
        asked = cast("ClauseElement", statement)
        lengths = tuple([len(value) for value in values.values() if isinstance(value, (list, tuple))])
        plans = self._plans.setdefault(asked, {})
        plan = plans.get(lengths)
        if plan is None:
            if len(plans) >= _MOST_PLANS:
                plans.clear()
            plan = plans[lengths] = _Plan(asked, values)
        return plan

    def _open(self, busy_ms: int) -> sqlite3.Connection:
        made = sqlite3.connect(self._file, isolation_level=None, check_same_thread=False)
        self._opened.append(made)
        for pragma in (f"busy_timeout={busy_ms}", "query_only=ON"):
            made.execute(f"PRAGMA {pragma}").close()
        return made

    def close(self) -> None:
        """End threads and connections."""
        self._threads.shutdown(wait=True)
        for one in self._opened:
            one.close()


@contextmanager
def _driver_errors(sql: str) -> Iterator[None]:
    """Turn what the driver raises into what SQLAlchemy makes of it."""
    try:
        yield
    except sqlite3.OperationalError as exc:
        raise OperationalError(sql, None, exc) from exc
    except sqlite3.Error as exc:
        raise DBAPIError(sql, None, exc) from exc
