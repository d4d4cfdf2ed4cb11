"""A connection to PostgreSQL that does not wait for ever for a server that fell silent."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol

import asyncpg

_PING_S = 5.0
_AGAIN_S = 0.5
_QUICK = ("BEGIN", "ROLLBACK")

_log = logging.getLogger(__name__)


class _Statement(Protocol):
    async def fetch(self, *values: Any) -> Sequence[Any]: ...


class WatchedConnection(asyncpg.Connection):  # type: ignore[misc] # asyncpg has no types
    """Asks the server, when a command takes long, whether it works on it, and closes the connection when it does not.

    A statement may take as long as it needs: of deletions and sums over years nobody knows how long that is. So no clock ends one, but a
    server that accepts no other connection, or that says that it has nothing to do for this one (its answer was lost with a link that
    died), ends all that wait for it with asyncpg's ConnectionDoesNotExistError.
    """

    answer_s: float
    """After so many seconds without an answer the server is asked, on another connection, whether it works on the statement."""
    server: Mapping[str, Any]
    """What `asyncpg.connect` takes to reach the same server."""

    async def execute(self, query: str, *arguments: Any, **options: Any) -> Any:
        """As asyncpg's, watched; what begins or rolls back a transaction has nothing to do, and 5 s for it."""
        if query.startswith(_QUICK):
            async with self._quickly():
                return await super().execute(query, *arguments, **options)
        with self._watched():
            return await super().execute(query, *arguments, **options)

    async def executemany(self, *arguments: Any, **options: Any) -> Any:
        """As asyncpg's, watched."""
        with self._watched():
            return await super().executemany(*arguments, **options)

    async def fetchrow(self, *arguments: Any, **options: Any) -> Any:
        """As asyncpg's, for at most 5 s: SQLAlchemy asks so whether a connection still works."""
        async with self._quickly():
            return await super().fetchrow(*arguments, **options)

    async def prepare(self, *arguments: Any, **options: Any) -> "_WatchedStatement":
        """As asyncpg's, watched, and so is the statement."""
        with self._watched():
            return _WatchedStatement(self, await super().prepare(*arguments, **options))

    @contextlib.asynccontextmanager
    async def _quickly(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(_PING_S):
                yield
        except TimeoutError:
            self.terminate()
            raise

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        looks: list[asyncio.Task[None]] = []
        timer = loop.call_later(self.answer_s, lambda: looks.append(loop.create_task(self._look())))
        try:
            yield
        finally:
            timer.cancel()
            for look in looks:
                look.cancel()

    async def _look(self) -> None:
        # The answer may be on its way when the server has ended its work, so it has to say so twice.
        idle = 0
        while idle < 2 and (state := await self._state()) is not None:
            idle = idle + 1 if state == "idle" else 0
            await asyncio.sleep(_AGAIN_S if idle else self.answer_s)
        _log.warning("PostgreSQL does not answer; the connection is given up")
        self.terminate()

    async def _state(self) -> Literal["working", "idle"] | None:
        # What the server says of this connection; None when it says nothing at all.
        other = None
        try:
            async with asyncio.timeout(2 * self.server["timeout"]):
                other = await asyncpg.connect(**self.server)
                query = "SELECT state FROM pg_stat_activity WHERE pid = $1"
                state = await other.fetchval(query, self.get_server_pid())
        except asyncpg.PostgresError:
            return "working"  # it answers, though it refuses: too many connections, for example
        except (OSError, asyncpg.InterfaceError):  # a TimeoutError is an OSError
            return None
        finally:
            if other is not None:
                other.terminate()
        return "idle" if state is None or state.startswith("idle") else "working"


class _WatchedStatement:
    def __init__(self, connection: WatchedConnection, statement: _Statement) -> None:
        self._connection = connection
        self._statement = statement

    def __getattr__(self, name: str) -> Any:
        return getattr(self._statement, name)

    async def fetch(self, *values: Any) -> Sequence[Any]:
        with self._connection._watched():  # noqa: SLF001 - of this module
            return await self._statement.fetch(*values)


def watched(server: Mapping[str, Any], answer_s: float, connect_s: float) -> type[WatchedConnection]:
    """Return the class of connections to this server, for `connection_class` of `asyncpg.connect`; a connection may take `connect_s` to be made."""
    options = {name: value for name, value in server.items() if not name.startswith("prepared_statement_")}
    return type("Watched", (WatchedConnection,), {"server": options | {"timeout": connect_s}, "answer_s": answer_s})
