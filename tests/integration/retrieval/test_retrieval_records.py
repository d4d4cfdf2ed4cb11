"""The record of documents and jobs on both databases: leases, replacement, attempts, removals."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import TypeAdapter
from sqlalchemy import update
from tests.integration.databases import set_up_schema

from sluice.contracts.paging import PageQuery
from sluice.contracts.retrieval import ChunkingOptions, Document, VectorStore
from sluice.contracts.searching import Attributes, SearchFilter
from sluice.contracts.vector_files import LastError, StoreExpiry, VectorStoreUpdate
from sluice.db import Database, open_database
from sluice.errors import DependencyUnavailable
from sluice.testing import platform_settings
from sluice_retrieval.__main__ import MIGRATIONS
from sluice_retrieval.domain.errors import DocumentNotFound, StoreExpired, StoreNotFound
from sluice_retrieval.domain.extraction import Source
from sluice_retrieval.domain.library import DocumentDetails, Done, Job
from sluice_retrieval.domain.points import Selector
from sluice_retrieval.domain.recordings import Heard, Part
from sluice_retrieval.domain.timed import Line
from sluice_retrieval.store.files import Files, NewFile
from sluice_retrieval.store.jobs import IngestJobs
from sluice_retrieval.store.library import Library
from sluice_retrieval.store.recordings import KeptRecordings
from sluice_retrieval.store.spaces import SpaceRecords
from sluice_retrieval.tables import DocumentRow

pytestmark = pytest.mark.integration
NOW = 1_800_000_000.0
SPACE = "minilm@384"


@pytest.fixture
async def database(database_url: str, tmp_path: Path) -> AsyncIterator[Database]:
    platform = platform_settings(tmp_path, database_url=database_url)
    await set_up_schema(platform, "retrieval", MIGRATIONS)
    opened = open_database(platform, "retrieval")
    yield opened
    await opened.close()


@pytest.fixture
async def library(database: Database) -> Library:
    made = Library(database)
    store = VectorStore(
        id="vs_1", name="n", created_at=int(NOW), documents=0, chunks=0, chunking=ChunkingOptions(), metadata={"a": "b"}
    )
    await made.add_store("acme", store)
    await SpaceRecords(database).aim(SPACE, NOW)
    return made


async def add(
    library: Library, document: str, name: str = "a.txt", metadata: Attributes | None = None, created_at: float = NOW
) -> None:
    row = Document(
        id=document,
        vector_store_id="vs_1",
        name=name,
        media_type="text/plain",
        status="queued",
        bytes=5,
        chunks=0,
        created_at=int(created_at),
        metadata=metadata or {},
    )
    await library.add_document("acme", row, "héllo", NOW)


async def test_a_document_goes_its_way(library: Library, database: Database) -> None:
    jobs = IngestJobs(database, max_attempts=5)
    await add(library, "doc_1")
    assert (await library.scope("acme", ["vs_1"])).hidden_document_ids == ()
    job = await jobs.claim("acme", "doc_1", NOW, NOW + 10)
    assert isinstance(job, Job)
    assert (job.text, job.name, job.average_terms) == ("héllo", "a.txt", 0.0)
    assert (await library.scope("acme", ["vs_1"])).hidden_document_ids == ("doc_1",)
    assert await jobs.waiting() == 1
    await jobs.finish([Done(job, 4, 40, {"en"})], now=NOW)
    assert (await library.scope("acme", ["vs_1"])).hidden_document_ids == ()
    assert await jobs.claim("acme", "doc_1", NOW, NOW + 10) == "done"
    store = await library.store("acme", "vs_1", NOW)
    assert (store.documents, store.chunks, store.metadata) == (1, 4, {"a": "b"})
    await add(library, "doc_2", "b.txt")
    other = await jobs.claim("acme", "doc_2", NOW, NOW + 10)
    assert isinstance(other, Job)
    assert other.average_terms == 10.0
    assert await jobs.claim("other", "doc_2", NOW, NOW + 10) == "gone"


async def test_a_lease_holds_until_it_ends(library: Library, database: Database) -> None:
    jobs = IngestJobs(database, max_attempts=5)
    await add(library, "doc_1")
    assert isinstance(await jobs.claim("acme", "doc_1", NOW, NOW + 10), Job)
    assert await jobs.claim("acme", "doc_1", NOW + 9, NOW + 19) == "busy"
    await jobs.extend(["doc_1"], NOW + 20)
    assert await jobs.claim("acme", "doc_1", NOW + 19, NOW + 29) == "busy"
    assert not await jobs.due(NOW + 19, NOW + 60, 10)
    assert [item.document_id for item in await jobs.due(NOW + 21, NOW + 60, 10)] == ["doc_1"]
    assert not await jobs.due(NOW + 21, NOW + 60, 10)
    assert isinstance(await jobs.claim("acme", "doc_1", NOW + 22, NOW + 32), Job)


async def test_what_was_sent_is_not_sent_again_too_soon(library: Library, database: Database) -> None:
    jobs = IngestJobs(database, max_attempts=5)
    await add(library, "doc_1")
    await jobs.sent(["doc_1"], NOW + 300)
    assert not await jobs.due(NOW + 299, NOW + 600, 10)
    assert len(await jobs.due(NOW + 300, NOW + 600, 10)) == 1


async def test_a_document_that_never_ends_is_given_up(library: Library, database: Database) -> None:
    jobs = IngestJobs(database, max_attempts=2)
    await add(library, "doc_1")
    for run in range(2):
        assert isinstance(await jobs.claim("acme", "doc_1", NOW + 20 * run, NOW + 20 * run + 10), Job)
    assert await jobs.claim("acme", "doc_1", NOW + 60, NOW + 70) == "spent"
    document = await library.document("acme", "vs_1", "doc_1")
    assert document.status == "failed"
    assert document.error is not None
    assert "begun 2 times" in document.error
    assert [item.selector for item in await jobs.removals(10)] == [Selector("acme", "vs_1", "doc_1")]


async def test_progress_is_kept_and_forgives_earlier_runs(library: Library, database: Database) -> None:
    jobs = IngestJobs(database, max_attempts=3)
    await add(library, "doc_1")
    now = NOW
    for indexed in (0, 32, 64, 96, 128):
        job = await jobs.claim("acme", "doc_1", now, now + 10)
        assert isinstance(job, Job)
        assert (job.indexed, job.plan) == (indexed, "a plan" if indexed else None)
        if not indexed:
            await jobs.plan(job, "a plan", 1000)
        await jobs.progress(job, indexed + 32, now + 20)
        assert await jobs.claim("acme", "doc_1", now + 19, now + 29) == "busy"
        now += 20
    document = await library.document("acme", "vs_1", "doc_1")
    assert (document.status, document.indexed_chunks, document.planned_chunks) == ("processing", 160, 1000)


async def test_a_document_that_killed_workers_rests_ever_longer(library: Library, database: Database) -> None:
    jobs = IngestJobs(database, max_attempts=6)
    await add(library, "doc_1")
    now, rests = NOW, []
    for _ in range(6):
        assert isinstance(await jobs.claim("acme", "doc_1", now, now + 4), Job)
        assert await jobs.due(now + 3.9, 0, 10) == []
        died = now + 4
        now = died
        while not await jobs.due(now, now, 10):
            assert await jobs.claim("acme", "doc_1", now, now + 4) == "busy"
            now += 5
        rests.append(now - died)
    assert rests == [0, 0, 10, 20, 40, 80]


async def test_what_was_begun_is_hidden_until_it_is_ready(library: Library, database: Database) -> None:
    jobs = IngestJobs(database, max_attempts=2)
    await add(library, "doc_1")
    assert (await library.scope("acme", ["vs_1"])).hidden_document_ids == ()
    job = await jobs.claim("acme", "doc_1", NOW, NOW + 10)
    assert isinstance(job, Job)
    await jobs.release(job, NOW + 5, "The model is away.", counted=False)  # after it had indexed some of the chunks
    assert (await library.scope("acme", ["vs_1"])).hidden_document_ids == ("doc_1",)
    job = await jobs.claim("acme", "doc_1", NOW + 5, NOW + 15)
    assert isinstance(job, Job)
    await jobs.finish([Done(job, 3, 30, {"en"})], now=NOW)
    assert (await library.scope("acme", ["vs_1"])).hidden_document_ids == ()


async def test_waiting_for_a_dependency_is_no_attempt(library: Library, database: Database) -> None:
    jobs = IngestJobs(database, max_attempts=2)
    await add(library, "doc_1")
    for turn in range(5):
        job = await jobs.claim("acme", "doc_1", NOW + 5 * turn, NOW + 5 * turn + 10)
        assert isinstance(job, Job)
        await jobs.release(job, NOW + 5 * turn + 5, "The model is away.", counted=False)
    waiting = await library.document("acme", "vs_1", "doc_1")
    assert (waiting.status, waiting.error) == ("queued", "The model is away.")
    file = await Files(database).get("acme", "vs_1", "doc_1")
    assert (file.status, file.last_error) == (
        "in_progress",
        LastError(code="server_error", message="The model is away."),
    )
    job = await jobs.claim("acme", "doc_1", NOW + 30, NOW + 40)
    assert isinstance(job, Job)
    await jobs.finish([Done(job, 3, 30, {"en"})], now=NOW)
    assert (await library.document("acme", "vs_1", "doc_1")).error is None


async def test_the_newer_of_one_name_wins_whichever_ends_first(library: Library, database: Database) -> None:
    jobs = IngestJobs(database, max_attempts=5)
    await add(library, "doc_1")
    await add(library, "doc_2")
    await add(library, "doc_3", "other.txt")
    old = await jobs.claim("acme", "doc_1", NOW, NOW + 10)
    new = await jobs.claim("acme", "doc_2", NOW, NOW + 10)
    assert isinstance(old, Job)
    assert isinstance(new, Job)
    await jobs.finish([Done(new, 2, 20, {"en"})], now=NOW)
    await jobs.finish([Done(old, 1, 10, {"en"})], now=NOW)
    left = await library.documents("acme", "vs_1", PageQuery(), None)
    assert [(item.id, item.status) for item in left] == [("doc_3", "queued"), ("doc_2", "ready")]
    assert {item.selector.document_id for item in await jobs.removals(10)} == {"doc_1"}
    assert set((await library.scope("acme", ["vs_1"])).hidden_document_ids) == {"doc_1"}
    for removal in await jobs.removals(10):
        await jobs.removed(removal.id)
    assert (await library.scope("acme", ["vs_1"])).hidden_document_ids == ()


async def test_a_failed_replacement_leaves_the_old_one(library: Library, database: Database) -> None:
    jobs = IngestJobs(database, max_attempts=5)
    await add(library, "doc_1")
    old = await jobs.claim("acme", "doc_1", NOW, NOW + 10)
    assert isinstance(old, Job)
    await jobs.finish([Done(old, 1, 10, {"en"})], now=NOW)
    await add(library, "doc_2")
    new = await jobs.claim("acme", "doc_2", NOW, NOW + 10)
    assert isinstance(new, Job)
    await jobs.fail(new, "No words.")
    states = {item.id: item.status for item in await library.documents("acme", "vs_1", PageQuery(), None)}
    assert states == {"doc_1": "ready", "doc_2": "failed"}
    assert (await library.store("acme", "vs_1", NOW)).chunks == 1


async def test_of_failures_of_one_name_the_last_is_kept(library: Library, database: Database) -> None:
    jobs = IngestJobs(database, max_attempts=1)
    await add(library, "doc_0")
    ready = await jobs.claim("acme", "doc_0", NOW, NOW + 10)
    assert isinstance(ready, Job)
    await jobs.finish([Done(ready, 1, 10, {"en"})], now=NOW)
    await add(library, "doc_1", "other.txt")
    for number, document in enumerate(("doc_1", "doc_2", "doc_3", "doc_4")):
        if number:
            await add(library, document)
        job = await jobs.claim("acme", document, NOW, NOW + 10)
        assert isinstance(job, Job)
        if document != "doc_4":
            await jobs.fail(job, f"No words in {document}.")
    assert await jobs.claim("acme", "doc_4", NOW + 60, NOW + 70) == "spent"
    states = {item.id: item.status for item in await library.documents("acme", "vs_1", PageQuery(), None)}
    assert states == {"doc_0": "ready", "doc_1": "failed", "doc_4": "failed"}, "another name is another document"


async def test_a_deleted_store_takes_its_documents_along(library: Library, database: Database) -> None:
    jobs = IngestJobs(database, max_attempts=5)
    await add(library, "doc_1")
    job = await jobs.claim("acme", "doc_1", NOW, NOW + 10)
    assert isinstance(job, Job)
    await library.remove_store("acme", "vs_1")
    await jobs.finish([Done(job, 1, 10, {"en"})], now=NOW)
    assert {item.selector for item in await jobs.removals(10)} == {
        Selector("acme", "vs_1"),
        Selector("acme", "vs_1", "doc_1"),
    }
    with pytest.raises(StoreNotFound):
        await library.scope("acme", ["vs_1"])
    assert await jobs.waiting() == 0


FILTERS: TypeAdapter[SearchFilter] = TypeAdapter(SearchFilter)
LIBRARY: dict[str, Attributes] = {
    "doc_a": {"lang": "de", "year": 2021, "draft": True},
    "doc_b": {"lang": "en", "year": 2024.5, "draft": False},
    "doc_c": {"lang": "5", "year": "2030", "odd key": "it's"},
    "doc_d": {},
}


def compare(kind: str, key: str, value: object) -> dict[str, object]:
    return {"type": kind, "key": key, "value": value}


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (compare("eq", "lang", "de"), "a"),
        (compare("ne", "lang", "de"), "bcd"),
        (compare("in", "lang", ["de", "en", "fr"]), "ab"),
        (compare("nin", "lang", ["de", "en"]), "cd"),
        (compare("eq", "lang", 5), ""),
        (compare("gte", "year", 2021), "ab"),
        (compare("gt", "year", 2021), "b"),
        (compare("lt", "year", 2024.6), "ab"),
        (compare("lte", "year", 2021), "a"),
        (compare("gt", "year", "2029"), "c"),
        (compare("eq", "draft", True), "a"),
        (compare("eq", "draft", False), "b"),
        (compare("ne", "draft", True), "bcd"),
        (compare("eq", "draft", 1), ""),
        (compare("eq", "odd key", "it's"), "c"),
        (compare("eq", "year", 2**70), ""),
        (compare("eq", "no.such-key", "x"), ""),
        (compare("eq", "document.name", "doc_d.md"), "d"),
        (compare("gt", "document.created_at", NOW + 1), "cd"),
        (compare("eq", "document.created_at", "soon"), ""),
        ({"type": "and", "filters": [compare("gte", "year", 2000), compare("ne", "lang", "de")]}, "b"),
        ({"type": "or", "filters": [compare("eq", "lang", "de"), compare("eq", "year", "2030")]}, "ac"),
    ],
    ids=str,
)
async def test_a_filter_chooses_documents(
    library: Library, database: Database, filters: dict[str, object], expected: str
) -> None:
    jobs = IngestJobs(database, max_attempts=5)
    for number, (document, metadata) in enumerate(LIBRARY.items()):
        await add(library, document, f"{document}.md", metadata, NOW + number)
        job = await jobs.claim("acme", document, NOW, NOW + 10)
        assert isinstance(job, Job)
        await jobs.finish([Done(job, 1, 3, {"en"})], now=NOW)
    await add(library, "doc_waiting", "w.md", {"lang": "de", "year": 2021, "draft": True})
    scope = await library.scope("acme", ["vs_1"], FILTERS.validate_python(filters))
    seen = set(LIBRARY) if scope.document_ids is None else set(scope.document_ids)
    assert seen - set(scope.hidden_document_ids) == {f"doc_{letter}" for letter in expected}
    shown = {"doc_a": DocumentDetails(LIBRARY["doc_a"], None, "text/plain")}
    assert await library.details("acme", ["doc_a", "doc_none"]) == shown
    assert await library.details("other", ["doc_a"]) == {}
    assert await library.details("acme", ["doc_waiting"]) == {}


async def test_a_store_knows_the_languages_of_its_texts(library: Library, database: Database) -> None:
    jobs = IngestJobs(database, max_attempts=5)
    assert (await library.scope("acme", ["vs_1"])).languages == ()
    for name, languages in (("doc_1", {"de"}), ("doc_2", {"en", "de"}), ("doc_3", {"fr"})):
        await add(library, name, f"{name}.txt")
        job = await jobs.claim("acme", name, NOW, NOW + 10)
        assert isinstance(job, Job)
        await jobs.finish([Done(job, 1, 3, languages)], now=NOW)
    assert (await library.scope("acme", ["vs_1"])).languages == ("de", "en", "fr")


async def test_documents_of_older_releases_are_stemmed_again_where_they_are_not_english(
    library: Library, database: Database
) -> None:
    jobs = IngestJobs(database, max_attempts=5)
    for name in ("doc_1", "doc_2"):
        await add(library, name, f"{name}.txt")
        job = await jobs.claim("acme", name, NOW, NOW + 10)
        assert isinstance(job, Job)
        await jobs.finish([Done(job, 2, 6, {"en"})], now=NOW)
    assert await jobs.old_stems(10) == []
    async with database.write() as session:
        await session.execute(update(DocumentRow).values(stems=1))
    assert [one for one, _ in await jobs.old_stems(10)] == ["doc_1", "doc_2"]
    await jobs.restem(["doc_1"], ["doc_2"], NOW + 1)
    assert await jobs.old_stems(10) == []
    states = {item.id: item.status for item in await library.documents("acme", "vs_1", PageQuery(), None)}
    assert states == {"doc_1": "queued", "doc_2": "ready"}
    assert [waiting.document_id for waiting in await jobs.due(NOW + 1, NOW + 6, 10)] == ["doc_1"]


async def test_the_version_of_a_store_changes_with_what_a_search_finds(library: Library, database: Database) -> None:
    jobs, files = IngestJobs(database, max_attempts=5), Files(database)
    await library.add_store(
        "acme",
        VectorStore(id="vs_2", name="", created_at=int(NOW), documents=0, chunks=0, chunking=ChunkingOptions()),
    )
    seen = [await _version(library)]
    await add(library, "doc_1")
    job = await jobs.claim("acme", "doc_1", NOW, NOW + 10)
    assert isinstance(job, Job)
    assert await _version(library) == seen[0], "what waits is not found, so nothing has changed"
    changes = (
        lambda: jobs.finish([Done(job, 1, 1, {"en"})], now=NOW),
        lambda: files.set_attributes("acme", "vs_1", "doc_1", {"year": 2025}),
        lambda: library.update_store("acme", "vs_1", VectorStoreUpdate(expires_after=StoreExpiry(days=1)), NOW),
        lambda: jobs.reopen_incomplete({}, NOW),
        lambda: library.remove_document("acme", "vs_1", "doc_1"),
    )
    for change in changes:
        await change()
        seen.append(await _version(library))
    await add(library, "doc_2")
    assert (await library.store("acme", "vs_1", NOW + 86_399)).status == "in_progress"
    assert await jobs.expire({}, NOW + 2 * 86_400) == 1
    seen.append(await _version(library))
    assert seen == sorted(set(seen)), "each change gives a version that was not there before"
    with pytest.raises(DocumentNotFound):
        await library.remove_document("acme", "vs_1", "doc_none")
    assert await _version(library) == seen[-1]
    assert (await library.scope("acme", ["vs_2"])).versions == {"vs_2": 0}


async def test_a_store_whose_time_is_over_says_so_and_takes_nothing(library: Library, database: Database) -> None:
    await library.update_store("acme", "vs_1", VectorStoreUpdate(expires_after=StoreExpiry(days=1)), NOW)
    await add(library, "doc_1", created_at=NOW + 86_399)
    late = NOW + 86_400
    assert (await library.store("acme", "vs_1", late - 1)).status == "in_progress"
    assert (await library.store("acme", "vs_1", late)).status == "expired"
    assert [one.status for one in await library.stores("acme", PageQuery(), late)] == ["expired"]
    with pytest.raises(StoreExpired):
        await add(library, "doc_2", created_at=late)
    file = NewFile("doc_3", "file_1", "a.txt", 5, {}, None)
    with pytest.raises(StoreExpired):
        await Files(database).add("acme", "vs_1", [file], None, late, late)
    await library.update_store("acme", "vs_1", VectorStoreUpdate(name="again"), late)
    await add(library, "doc_2", created_at=late)


async def test_a_batch_is_cancelled_only_where_something_of_it_waits(library: Library, database: Database) -> None:
    files, jobs = Files(database), IngestJobs(database, max_attempts=5)
    for name in ("one", "two"):
        rows = [NewFile(f"doc_{name}_{at}", f"file_{name}_{at}", f"{name}{at}.txt", 5, {}, None) for at in (1, 2)]
        await files.add("acme", "vs_1", rows, f"batch_{name}", NOW, NOW)
    for document in ("doc_one_1", "doc_one_2", "doc_two_1"):
        job = await jobs.claim("acme", document, NOW, NOW + 10)
        assert isinstance(job, Job)
        await jobs.keep_text(job, "text", "text/plain", "0" * 64)
        await jobs.finish([Done(job, 1, 1, {"en"})], now=NOW)
    for name, status, cancelled in (("one", "completed", 0), ("two", "cancelled", 1)):
        await files.cancel("acme", "vs_1", f"batch_{name}")
        batch = await files.batch("acme", "vs_1", f"batch_{name}")
        assert (batch.status, batch.file_counts.cancelled) == (status, cancelled)


async def test_a_file_is_forgotten_in_all_stores_of_its_tenant_alone(library: Library, database: Database) -> None:
    files, jobs = Files(database), IngestJobs(database, max_attempts=5)
    for tenant, store in (("acme", "vs_1"), ("acme", "vs_2"), ("other", "vs_3")):
        if store != "vs_1":
            made = VectorStore(id=store, name="", created_at=1, documents=0, chunks=0, chunking=ChunkingOptions())
            await library.add_store(tenant, made)
        rows = [NewFile(f"doc_{store}_{at}", f"file_{at}", "a.txt", 5, {}, None) for at in (1, 2)]
        await files.add(tenant, store, rows, None, NOW, NOW)
    before = await _version(library)
    assert await files.forget("acme", "file_1") == 2
    assert await files.forget("acme", "file_1") == 0
    assert await _version(library) > before
    assert sorted(one.selector for one in await jobs.removals(9)) == [
        Selector("acme", "vs_1", "doc_vs_1_1"),
        Selector("acme", "vs_2", "doc_vs_2_1"),
    ]
    left = [(await library.store(*where, NOW)).documents for where in (("acme", "vs_1"), ("other", "vs_3"))]
    assert left == [1, 2]


async def _version(library: Library) -> int:
    return (await library.scope("acme", ["vs_1"])).versions["vs_1"]


async def test_documents_are_moved_to_another_models_space_and_then_it_answers(
    library: Library, database: Database
) -> None:
    jobs, spaces = IngestJobs(database, max_attempts=5), SpaceRecords(database)
    for number in range(3):
        await add(library, f"doc_{number}", f"{number}.txt")
        job = await jobs.claim("acme", f"doc_{number}", NOW, NOW + 10)
        assert isinstance(job, Job)
        assert job.space == SPACE
        await jobs.finish([Done(job, 2, 4, {"en"})], now=NOW)
    await add(library, "doc_late", "late.txt")
    late = await jobs.claim("acme", "doc_late", NOW, NOW + 10)
    assert isinstance(late, Job)
    assert await spaces.claim_move("w1", NOW, NOW + 10) is None, "nothing is to be moved"
    assert await spaces.aim("other@8", NOW) == SPACE
    assert await spaces.claim_move("w1", NOW, NOW + 10) == "other@8"
    assert await spaces.claim_move("w2", NOW + 9, NOW + 20) is None, "another worker moves"
    assert await spaces.claim_move("w2", NOW + 10, NOW + 20) == "other@8", "its lease is over"
    first, second, third = await spaces.lacking("other@8", 10, ())
    assert (first.selector, first.space, first.chunks) == (Selector("acme", "vs_1", "doc_0"), SPACE, 2)
    assert not await spaces.switch("other@8", NOW + 1)
    assert await spaces.moved(first, "other@8") == "moved"
    assert await spaces.moved(second._replace(ready_at=NOW - 5), "other@8") == "anew"
    await library.remove_document("acme", "vs_1", "doc_2")
    assert await spaces.moved(third, "other@8") == "gone"
    shown = {one.id: (one.status, one.documents, one.of) for one in await spaces.states()}
    assert shown == {SPACE: ("active", 2, 2), "other@8": ("building", 1, 2)}
    assert await spaces.unmove("other@8", {"doc_0": 1}) == 1, "the index has lost a chunk of it"
    for lacking in await spaces.lacking("other@8", 10, ()):
        assert await spaces.moved(lacking, "other@8") == "moved"
    assert await spaces.switch("other@8", NOW + 2)
    assert await spaces.ids_by_status() == {"active": ["other@8"], "retiring": [SPACE]}
    await jobs.finish([Done(late, 1, 2, {"en"})], now=NOW + 3)
    assert (await library.document("acme", "vs_1", "doc_late")).status == "queued", "its vectors are of the old model"
    again = await jobs.claim("acme", "doc_late", NOW + 4, NOW + 14)
    assert isinstance(again, Job)
    assert again.space == "other@8"
    assert await spaces.forgotten(NOW + 1) == []
    assert await spaces.forgotten(NOW + 3) == [SPACE]
    assert await spaces.ids() == ["other@8"]


async def test_a_change_of_the_model_that_is_taken_back_leaves_documents_where_they_answer(
    library: Library, database: Database
) -> None:
    jobs, spaces = IngestJobs(database, max_attempts=5), SpaceRecords(database)
    await add(library, "doc_1")
    job = await jobs.claim("acme", "doc_1", NOW, NOW + 10)
    assert isinstance(job, Job)
    await jobs.finish([Done(job, 2, 4, {"en"})], now=NOW)
    await spaces.aim("other@8", NOW)
    (document,) = await spaces.lacking("other@8", 10, ())
    await spaces.moved(document, "other@8")
    assert await spaces.aim(SPACE, NOW + 1) == SPACE
    assert await spaces.claim_move("w1", NOW, NOW + 10) is None
    assert await spaces.lacking(SPACE, 10, ()) == []
    assert await spaces.forgotten(NOW + 2) == ["other@8"]


async def test_small_documents_are_taken_together_and_made_ready_together(library: Library, database: Database) -> None:
    jobs = IngestJobs(database, max_attempts=5)
    for document, name in (("doc_1", "a.txt"), ("doc_2", "b.txt"), ("doc_3", "a.txt")):
        await add(library, document, name)
    assert [job.document_id for job in await jobs.claim_waiting(NOW, NOW + 10, most_bytes=9)] == ["doc_1"]
    taken = await jobs.claim_waiting(NOW, NOW + 10, most_bytes=10)
    assert [(job.document_id, job.text, job.again) for job in taken] == [
        ("doc_2", "héllo", False),
        ("doc_3", "héllo", False),
    ]
    assert await jobs.claim_waiting(NOW, NOW + 10, most_bytes=1000) == ()
    first = await jobs.claim("acme", "doc_1", NOW + 11, NOW + 20)  # its worker was lost
    assert isinstance(first, Job)
    assert first.again
    await jobs.release(first, NOW + 12, "The model is away.", counted=True)
    await add(library, "doc_4", "c.txt")
    again = await jobs.claim_waiting(
        NOW + 30, NOW + 40, most_bytes=1000
    )  # what was begun before goes alone, as does who it stands before
    assert sorted(job.document_id for job in again) in (["doc_1"], ["doc_4"])
    await jobs.finish([Done(first, 1, 3, {"en"}), *(Done(job, 1, 3, {"de"}) for job in taken)], now=NOW)
    store = await library.store("acme", "vs_1", NOW)
    assert (store.file_counts.completed, store.chunks) == (2, 2)  # the newer a.txt has taken the older one's place
    assert [one.selector.document_id for one in await jobs.removals(9)] == ["doc_1"]


async def test_parts_of_a_recording_are_kept_whoever_has_the_claim_and_forgotten_with_its_text(
    library: Library, database: Database
) -> None:
    jobs, kept = IngestJobs(database, max_attempts=5), KeptRecordings(database)
    row = Document(
        id="doc_1",
        vector_store_id="vs_1",
        name="talk",
        media_type="text/markdown",
        status="queued",
        bytes=3,
        chunks=0,
        created_at=int(NOW),
    )
    await library.add_document("acme", row, "", NOW, recording=Source("talk.wav", b"\x00\xff\x01"))
    job = await jobs.claim("acme", "doc_1", NOW, NOW + 10)
    assert isinstance(job, Job)
    assert (job.recorded, await kept.source("doc_1")) == (True, Source("talk.wav", b"\x00\xff\x01"))
    said = Part((Line(0.0, 2.5, "hello"),), 60.0, ended=False)
    await kept.keep("doc_1", 0.0, said, seen=False, until=NOW + 20)
    await jobs.release(job, NOW, "The model is away.", counted=False)
    rest = Part((), 75.0, ended=True)
    await kept.keep("doc_1", 60.0, rest, seen=False, until=NOW + 30)  # paid for, although the claim was lost
    assert await jobs.claim("acme", "doc_1", NOW + 25, NOW + 40) == "busy"
    shown = Part((Line(3.0, 3.0, "A wall.", seen=True),), 10.0, ended=True)
    await kept.keep("doc_1", 0.0, shown, seen=True, until=NOW + 30)
    assert await kept.heard("doc_1") == Heard((said, rest), (shown,))
    assert (await library.document("acme", "vs_1", "doc_1")).transcribed_s == 75.0
    await jobs.keep_text(job, "text", "text/markdown", "0" * 64)
    assert await kept.heard("doc_1") == Heard()
    with pytest.raises(DocumentNotFound):
        await kept.source("doc_1")
    await jobs.finish([Done(job, 1, 1, {"en"})], now=NOW)
    with pytest.raises(DependencyUnavailable):
        await kept.keep("doc_1", 75.0, rest, seen=False, until=NOW + 50)
    assert (await library.document("acme", "vs_1", "doc_1")).status == "ready"
    await library.remove_document("acme", "vs_1", "doc_1")
    with pytest.raises(DocumentNotFound):
        await kept.keep("doc_1", 75.0, rest, seen=False, until=NOW + 50)
