"""What every search asks of SQLite is answered by an index, however many documents there are."""

import logging
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine, event
from tests.integration.databases import set_up_schema

from sluice.contracts.retrieval import ChunkingOptions, VectorStore
from sluice.contracts.searching import Comparison
from sluice.db import Database, open_database
from sluice.testing import platform_settings
from sluice_retrieval.__main__ import MIGRATIONS
from sluice_retrieval.store.jobs import IngestJobs
from sluice_retrieval.store.library import Library

pytestmark = pytest.mark.integration
NOW = 1_800_000_000.0
BY_ID = "SEARCH documents USING INDEX sqlite_autoindex_documents_1 (id=?)"


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    platform = platform_settings(tmp_path)
    await set_up_schema(platform, "retrieval", MIGRATIONS)
    opened = open_database(platform, "retrieval")
    yield opened
    await opened.close()


async def test_no_other_documents_are_read(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    library, jobs = Library(database), IngestJobs(database, max_attempts=5)
    store = VectorStore(id="vs_1", name="n", created_at=1, documents=0, chunks=0, chunking=ChunkingOptions())
    await library.add_store("acme", store)
    changed: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        changed.append(statement)

    caplog.set_level(logging.DEBUG, logger="sluice.sqlite_looker")
    event.listen(Engine, "before_cursor_execute", note)
    try:
        await library.scope("acme", ["vs_1"], Comparison(type="eq", key="lang", value="de"))
        await library.details("acme", ["doc_a", "doc_b"])
        await jobs.sent(["doc_a", "doc_b"], NOW)
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    looked = [record.getMessage() for record in caplog.records if record.name == "sluice.sqlite_looker"]
    with closing(sqlite3.connect(str(database.engine.url.database))) as direct:
        scope, details, sent = (
            [str(row[3]) for row in direct.execute(f"EXPLAIN QUERY PLAN {statement}", [None] * statement.count("?"))]
            for statement in (*looked, *changed)
            if not statement.startswith("BEGIN")
        )
    assert any("document_attributes_by_text" in step for step in scope)
    assert not [step for step in scope if step.startswith("SCAN")]
    assert details == [BY_ID]
    assert sent == [BY_ID]
