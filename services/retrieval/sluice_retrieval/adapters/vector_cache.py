"""Vectors of texts that were embedded before, kept in a SQLite file across restarts."""

import asyncio
import hashlib
import logging
import sqlite3
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

from prometheus_client import Counter

from sluice_retrieval.domain.embedding import Embedded, Embedder, Lane
from sluice_retrieval.domain.tokens import TokenCounter

_log = logging.getLogger(__name__)
Answer = TypeVar("Answer")
_AT_ONCE = 400
_FEW = 4
_BUSY_MS = 2000
_PAUSE_S = 0.02
_KEY_BYTES = 16
_SCHEMA = "CREATE TABLE IF NOT EXISTS vectors (age INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, tokens INTEGER NOT NULL, vector BLOB NOT NULL)"
_FIND = "SELECT age, key, tokens, vector FROM vectors WHERE key IN ({})"
_PUT = "INSERT INTO vectors (key, tokens, vector) VALUES (?, ?, ?) ON CONFLICT (key) DO NOTHING"
_RENEW = "UPDATE vectors SET age = (SELECT max(age) + 1 FROM vectors) WHERE age = ?"
_TRIM = "DELETE FROM vectors WHERE age <= (SELECT max(age) FROM vectors) - ?"


class Kept(NamedTuple):
    """A vector and how many tokens the model read for it."""

    vector: tuple[float, ...]
    tokens: int


class VectorCache:
    """At most `most` vectors by key; the ones that were not used for longest go first.

    Several processes may have the file open. It is a cache: what cannot be read or written is as if it were not there, a
    file that is no database is begun anew, and after a power failure the last vectors may be missing.
    """

    def __init__(self, file: Path, most: int) -> None:
        self._file = file
        self._most = most
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="vector-cache")
        self._connection: sqlite3.Connection | None = None
        self._reading: sqlite3.Connection | None = None
        self._written: Future[None] | None = None
        self._pending: dict[bytes, Kept] = {}

    async def find(self, keys: Sequence[bytes]) -> Mapping[bytes, Kept]:
        """Return what is kept of these keys.

        A question is looked for at once: to go to a thread and back holds up a search by a millisecond, where reading
        one row takes 20 microseconds and waits for no writer. What is being kept just now is waited for.
        """
        pending = {key: self._pending[key] for key in keys if key in self._pending}
        others = [key for key in keys if key not in pending] if pending else keys
        return {**await self._in_file(others), **pending} if others else pending

    async def _in_file(self, keys: Sequence[bytes]) -> dict[bytes, Kept]:
        settled = self._written is None or self._written.done()
        if len(keys) <= _FEW and settled and self._connection is not None:
            try:
                return self._looked_up(keys)
            except sqlite3.Error as exc:
                _log.warning("%s could not be read at once: %s", self._file, exc)
                self._stop_reading()
        return await asyncio.get_running_loop().run_in_executor(
            self._thread, self._tried, lambda opened: self._found(opened, keys), {}
        )

    def _looked_up(self, keys: Sequence[bytes]) -> dict[bytes, Kept]:
        if self._reading is None:
            self._reading = sqlite3.connect(self._file, isolation_level=None)
            for statement in ("PRAGMA busy_timeout=0", "PRAGMA query_only=ON"):
                self._reading.execute(statement).close()
        found, ages = _read(self._reading, keys)
        if ages:
            self._thread.submit(self._tried, lambda opened: self._renew(opened, ages), None)
        return found

    def _stop_reading(self) -> None:
        if self._reading is not None:
            self._reading.close()
            self._reading = None

    def keep(self, vectors: Mapping[bytes, Kept]) -> None:
        """Keep vectors; nobody waits for it.

        They are written a moment later: the thread that writes would want the interpreter just when the search that asked goes on.
        """
        if not self._pending:
            asyncio.get_running_loop().call_later(_PAUSE_S, self._write)
        self._pending.update(vectors)

    def _write(self) -> None:
        vectors, self._pending = self._pending, {}
        if vectors:
            self._written = self._thread.submit(self._tried, lambda opened: self._kept(opened, vectors), None)

    def close(self) -> None:
        """Write what is to be kept and close the file."""
        self._write()
        self._stop_reading()
        self._thread.submit(self._closed)
        self._thread.shutdown(wait=True)

    def _closed(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def _tried(self, work: Callable[[sqlite3.Connection], Answer], otherwise: Answer) -> Answer:
        try:
            if self._connection is None:
                self._connection = self._opened()
            return work(self._connection)
        except (sqlite3.Error, OSError) as exc:
            _log.warning("the cache of vectors in %s is not used: %s", self._file, exc)
            return otherwise

    def _opened(self) -> sqlite3.Connection:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        try:
            return _connection(self._file)
        except sqlite3.DatabaseError as exc:
            if isinstance(exc, sqlite3.OperationalError):
                raise
            _log.warning("%s is no cache of vectors and is begun anew: %s", self._file, exc)
            for part in (self._file, *self._file.parent.glob(f"{self._file.name}-*")):
                part.unlink(missing_ok=True)
            return _connection(self._file)

    def _found(self, opened: sqlite3.Connection, keys: Sequence[bytes]) -> dict[bytes, Kept]:
        found, ages = _read(opened, keys)
        self._renew(opened, ages)
        return found

    def _renew(self, opened: sqlite3.Connection, ages: Iterable[int]) -> None:
        # Only what is in the older half moves to the front: a vector that is used all the time is not written each time.
        newest = opened.execute("SELECT max(age) FROM vectors").fetchone()[0] or 0
        old = [(age,) for age in ages if age < newest - self._most // 2]
        if old:
            opened.execute("BEGIN IMMEDIATE")
            opened.executemany(_RENEW, old)
            opened.execute("COMMIT")

    def _kept(self, opened: sqlite3.Connection, vectors: Mapping[bytes, Kept]) -> None:
        opened.execute("BEGIN IMMEDIATE")
        rows = [(key, kept.tokens, struct.pack(f"<{len(kept.vector)}f", *kept.vector)) for key, kept in vectors.items()]
        opened.executemany(_PUT, rows)
        opened.execute(_TRIM, (self._most,))
        opened.execute("COMMIT")


def _read(opened: sqlite3.Connection, keys: Sequence[bytes]) -> tuple[dict[bytes, Kept], list[int]]:
    found: dict[bytes, Kept] = {}
    ages: list[int] = []
    for at in range(0, len(keys), _AT_ONCE):
        some = keys[at : at + _AT_ONCE]
        marks = ",".join("?" * len(some))
        for age, key, tokens, raw in opened.execute(_FIND.format(marks), some):
            found[key] = Kept(struct.unpack(f"<{len(raw) // 4}f", raw), tokens)
            ages.append(age)
    return found, ages


def _connection(file: Path) -> sqlite3.Connection:
    made = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    for statement in (f"PRAGMA busy_timeout={_BUSY_MS}", "PRAGMA journal_mode=WAL", "PRAGMA synchronous=OFF", _SCHEMA):
        made.execute(statement).close()
    return made


class CachedEmbedder:
    """The `Embedder` port with a cache before it; a tenant is answered only from what was embedded for it."""

    def __init__(self, inner: Embedder, cache: VectorCache, lookups: Counter) -> None:
        self._inner = inner
        self._cache = cache
        self._lookups = lookups

    @property
    def name(self) -> str:
        """Names the model."""
        return self._inner.name

    @property
    def dimensions(self) -> int:
        """The length of a vector."""
        return self._inner.dimensions

    @property
    def counter(self) -> TokenCounter:
        """Counts in the model's tokens."""
        return self._inner.counter

    async def embed(self, texts: Sequence[str], lane: Lane, tenant: str | None = None) -> Embedded:
        """Return one vector for each text; the model reads only those that are not kept, each once."""
        if tenant is None or not texts:
            return await self._inner.embed(texts, lane)
        keys = [self._key(tenant, text) for text in texts]
        kept = dict(await self._cache.find(list(dict.fromkeys(keys))))
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in kept}
        self._lookups.labels("hit").inc(len(set(keys)) - len(missing))
        self._lookups.labels("miss").inc(len(missing))
        if missing:
            made = await self._inner.embed(list(missing.values()), lane)
            counts = made.each or _shares(made.tokens, len(missing))
            new = dict(zip(missing, map(Kept, made.vectors, counts), strict=True))
            self._cache.keep(new)
            kept.update(new)
        return Embedded(
            tuple(kept[key].vector for key in keys),
            sum(kept[key].tokens for key in keys),
            tuple(kept[key].tokens for key in keys),
        )

    async def load(self) -> None:
        """Have the model ready."""
        await self._inner.load()

    def loaded(self) -> bool:
        """Tell whether the model is in memory."""
        return self._inner.loaded()

    async def close(self) -> None:
        """Free the model; the cache belongs to who made it."""
        await self._inner.close()

    def _key(self, tenant: str, text: str) -> bytes:
        owner = f"{self.name} {self.dimensions} {len(tenant)}:{tenant}".encode()
        return hashlib.blake2b(owner + b"\0" + text.encode(), digest_size=_KEY_BYTES).digest()


def _shares(tokens: int, count: int) -> list[int]:
    """Divide the tokens of a model that does not tell them for each text."""
    return [tokens // count + (at < tokens % count) for at in range(count)]
