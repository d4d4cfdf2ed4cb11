"""The library and the run book on both databases."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text
from tests.integration.databases import set_up_schema

from sluice.contracts.evals import CreateEval, EvalItemQuery, EvalItemResult, EvalSchedule
from sluice.contracts.paging import PageQuery
from sluice.db import Database, open_database
from sluice.migrations import upgrade
from sluice.settings import PlatformSettings
from sluice.testing import platform_settings
from sluice_eval.domain.errors import RunEnded, RunNotFound, ScheduleNotFound, SuiteBusy, SuiteNotFound
from sluice_eval.domain.runs import OnBehalf, RunKey
from sluice_eval.domain.suites import finished
from sluice_eval.store.book import SqlRunBook
from sluice_eval.store.library import Library, NewRun
from sluice_eval.store.schedules import Schedules

pytestmark = pytest.mark.integration
MIGRATIONS = Path(__file__).parents[3] / "services" / "eval" / "migrations"
NEW = NewRun("m", "key_1", 2, {})
T0 = 1_800_000_000.0


@pytest.fixture
async def database(database_url: str, tmp_path: Path) -> AsyncIterator[Database]:
    platform = platform_settings(tmp_path, database_url=database_url)
    await set_up_schema(platform, "eval", MIGRATIONS)
    database = open_database(platform, "eval")
    yield database
    await database.close()


def suite(name: str, *, expected: str = "b", count: int = 3) -> CreateEval:
    items = [{"id": f"i{n}", "prompt": "a", "expected": expected, "scorer": "exact"} for n in range(1, count + 1)]
    return finished(CreateEval.model_validate({"name": name, "items": items}))


def result(run_id: str, position: int, answer: str = "x") -> EvalItemResult:
    return EvalItemResult(
        id=f"i{position}",
        run_id=run_id,
        position=position,
        scorer="exact",
        outcome="passed",
        reason="equal\x00",
        answer=answer,
        tries=1,
        created_at=int(T0),
    )


async def test_versions_follow_content(database: Database) -> None:
    library = Library(database)
    first = await library.add_suite("acme", suite("v"), T0)
    same = await library.add_suite("acme", suite("v"), T0 + 1)
    second = await library.add_suite("acme", suite("v", expected="c"), T0 + 2)
    assert (first.new, same.new, second.new) == (True, False, True)
    assert same.suite == first.suite
    assert (first.suite.version, second.suite.version) == (1, 2)
    assert first.suite.content_hash != second.suite.content_hash
    assert (await library.suite_body("acme", first.suite.id)) == suite("v")


async def test_versions_made_at_once_are_all_kept(database: Database) -> None:
    library = Library(database)
    stored = await asyncio.gather(*(library.add_suite("acme", suite("race", expected=f"e{n}"), T0) for n in range(4)))
    assert sorted(item.suite.version for item in stored) == [1, 2, 3, 4]


async def test_tenants_never_meet(database: Database) -> None:
    library = Library(database)
    mine = (await library.add_suite("acme", suite("mine"), T0)).suite
    run = await library.add_run("acme", mine.id, NEW, T0, T0)
    assert (await library.add_suite("other", suite("mine"), T0)).suite.version == 1
    for refused in (
        library.suite("other", mine.id),
        library.suite_body("other", mine.id),
        library.remove_suite("other", mine.id),
        library.add_run("other", mine.id, NEW, T0, T0),
        library.runs("other", mine.id, PageQuery()),
        library.run("other", mine.id, run.id),
        library.cancel("other", mine.id, run.id, T0),
        library.items("other", mine.id, run.id, EvalItemQuery()),
        library.results("other", mine.id, run.id),
    ):
        with pytest.raises(SuiteNotFound):
            await refused
    assert all(found.id != mine.id for found in await library.suites("other", PageQuery(limit=100)))
    assert await SqlRunBook(database, 9).take(RunKey("other", run.id), "w", T0, 10) is None
    with pytest.raises(RunNotFound):
        await library.run("acme", mine.id, "evalrun_none")


async def test_a_run_belongs_to_one_worker_at_a_time(database: Database) -> None:
    library, book = Library(database), SqlRunBook(database, 9)
    made = (await library.add_suite("acme", suite("lease"), T0)).suite
    run = await library.add_run("acme", made.id, NEW, T0, T0 + 5)
    key = RunKey("acme", run.id)
    work = await book.take(key, "first", T0, 10)
    assert work is not None
    assert (work.model, work.done, len(work.suite.items)) == ("m", frozenset(), 3)
    assert work.on_behalf == OnBehalf("acme", "key_1")
    assert await book.take(key, "second", T0 + 9, 10) is None
    assert await book.write(key, "first", result(run.id, 1))
    assert not await book.write(key, "second", result(run.id, 2))
    assert await book.hold(key, "first", T0 + 20)
    assert await book.take(key, "second", T0 + 19, 10) is None
    assert key in await library.due(T0 + 21, T0 + 60)
    taken = await book.take(key, "second", T0 + 22, 10)
    assert taken is not None
    assert taken.done == {1}
    assert not await book.write(key, "first", result(run.id, 2))
    assert not await book.hold(key, "first", T0 + 99)
    assert not await book.finish(key, "first", "completed", None, T0 + 23)
    assert await book.write(key, "second", result(run.id, 2))
    assert await book.write(key, "second", result(run.id, 2, answer="again"))
    assert await book.finish(key, "second", "completed", None, T0 + 30)
    found = await library.results("acme", made.id, run.id)
    assert (found.run.status, found.run.counts.passed, found.run.counts.pending) == ("completed", 2, 1)
    assert [row.answer for row in found.results] == ["x", "x"]
    assert await book.take(key, "third", T0 + 99, 10) is None
    assert key not in await library.due(T0 + 999, T0 + 1000)


async def test_a_run_that_loses_every_worker_is_given_up(database: Database) -> None:
    library, book = Library(database), SqlRunBook(database, 2)
    made = (await library.add_suite("acme", suite("poison"), T0)).suite
    run = await library.add_run("acme", made.id, NEW, T0, T0)
    key = RunKey("acme", run.id)
    for attempt in (1, 2):
        assert await book.take(key, f"w{attempt}", T0 + 100 * attempt, 10) is not None
    assert await book.take(key, "w3", T0 + 300, 10) is None
    found = await library.run("acme", made.id, run.id)
    assert (found.status, found.error) == ("failed", "The run was given up: 2 workers were lost over it.")


async def test_cancelling_takes_the_run_from_its_worker(database: Database) -> None:
    library, book = Library(database), SqlRunBook(database, 9)
    made = (await library.add_suite("acme", suite("cancel"), T0)).suite
    run = await library.add_run("acme", made.id, NEW, T0, T0)
    key = RunKey("acme", run.id)
    assert await book.take(key, "w", T0, 10) is not None
    with pytest.raises(SuiteBusy):
        await library.remove_suite("acme", made.id)
    assert (await library.cancel("acme", made.id, run.id, T0 + 1)).status == "cancelled"
    assert not await book.write(key, "w", result(run.id, 1))
    with pytest.raises(RunEnded):
        await library.cancel("acme", made.id, run.id, T0 + 2)
    await library.remove_suite("acme", made.id)
    with pytest.raises(SuiteNotFound):
        await library.run("acme", made.id, run.id)


async def test_pages_hold_every_row_once(database: Database) -> None:
    library, book = Library(database), SqlRunBook(database, 9)
    made = (await library.add_suite("pages", suite("pages", count=7), T0)).suite
    runs = [(await library.add_run("pages", made.id, NEW, T0 + n, T0)).id for n in range(5)]
    seen: list[str] = []
    after = None
    while True:
        rows = await library.runs("pages", made.id, PageQuery(limit=2, after=after, order="asc"))
        seen += [row.id for row in rows[:2]]
        if len(rows) <= 2:
            break
        after = rows[1].id
    assert seen == sorted(runs)
    key = RunKey("pages", runs[0])
    await book.take(key, "w", T0, 1e6)
    for position in (5, 2, 7, 1):
        await book.write(key, "w", result(runs[0], position))
    pages = [
        [row.position for row in await library.items("pages", made.id, runs[0], EvalItemQuery(limit=2, after=at))]
        for at in (None, "i2", "i7")
    ]
    assert pages == [[1, 2, 5], [5, 7], []]
    backwards = EvalItemQuery(limit=10, order="desc", after="i5")
    assert [row.position for row in await library.items("pages", made.id, runs[0], backwards)] == [2, 1]


def test_runs_from_before_keys_were_noted_outlive_the_migration(tmp_path: Path, database_url: str) -> None:
    asyncio.run(_migrated(platform_settings(tmp_path, database_url=database_url)))


async def _migrated(platform: PlatformSettings) -> None:
    await upgrade(platform, "eval", MIGRATIONS, "0001")
    database = open_database(platform, "eval")
    async with database.write() as session:
        body = suite("old").model_dump_json()
        await session.execute(
            text(
                "INSERT INTO eval_suites (id, tenant, name, version, content_hash, items, scorers, body, created_at) "
                "VALUES ('eval_1', 'acme', 'old', 1, 'x', 3, '{}', :body, 0)"
            ),
            {"body": body},
        )
        for run_id, status in (("evalrun_1", "queued"), ("evalrun_2", "completed")):
            await session.execute(
                text(
                    "INSERT INTO eval_runs (id, tenant, suite_id, model, status, concurrency, metadata, attempts, look_at, "
                    "created_at) VALUES (:id, 'acme', 'eval_1', 'm', :status, 1, '{}', 0, 0, 0)"
                ),
                {"id": run_id, "status": status},
            )
    await upgrade(platform, "eval", MIGRATIONS)
    library, book = Library(database), SqlRunBook(database, 9)
    assert await book.take(RunKey("acme", "evalrun_1"), "w", T0, 10) is None
    waiting, done = [await library.run("acme", "eval_1", run_id) for run_id in ("evalrun_1", "evalrun_2")]
    assert (waiting.status, waiting.api_key_id) == ("failed", None)
    assert waiting.error == "The run is from a version that did not note whose API key it asks with. Start it again."
    assert (done.status, done.error) == ("completed", None)
    await database.close()


async def test_a_scheduled_suite_runs_once_at_each_time_and_times_that_were_missed_are_not_made_up_for(
    database: Database,
) -> None:
    library, schedules = Library(database), Schedules(database)
    made = (await library.add_suite("acme", suite("s"), T0)).suite
    wanted = EvalSchedule(eval_id=made.id, every_s=600, model="m", api_key_id="key_1", concurrency=2, next_at=T0)
    with pytest.raises(SuiteNotFound):
        await schedules.put("other", wanted)
    await schedules.put("acme", wanted)
    assert await schedules.start_due(T0 - 1, T0) == []
    both = await asyncio.gather(*(schedules.start_due(T0 + 1, T0 + 16) for _ in range(2)))
    (started,) = [key for keys in both for key in keys]
    run = await library.run("acme", made.id, started.run_id)
    assert (run.status, run.model, run.api_key_id, run.metadata) == ("queued", "m", "key_1", {"started_by": "schedule"})
    now = await schedules.get("acme", made.id)
    assert (now.next_at, now.last_run_id) == (T0 + 600, started.run_id)
    assert len(await schedules.start_due(T0 + 6100, T0 + 6116)) == 1
    assert (await schedules.get("acme", made.id)).next_at == T0 + 6600
    await schedules.put("acme", wanted.model_copy(update={"every_s": 300, "next_at": T0 + 7000}))
    assert (await schedules.get("acme", made.id)).every_s == 300
    with pytest.raises(ScheduleNotFound):
        await schedules.remove("other", made.id)
    await schedules.remove("acme", made.id)
    assert await schedules.start_due(T0 + 9000, T0 + 9016) == []
