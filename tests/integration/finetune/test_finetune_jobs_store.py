"""Jobs on SQLite and PostgreSQL: tenants never meet, leases have one holder, events happen once."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from sluice.contracts.finetune import JobCreate, JobError
from sluice.contracts.paging import PageQuery
from sluice.db import Database
from sluice.ids import new_id
from sluice.testing import FakeClock
from sluice_finetune.adapters.training import NoTrainingBackend
from sluice_finetune.domain.errors import (
    CursorNotFound,
    JobHasEnded,
    JobLost,
    JobNotFound,
)
from sluice_finetune.domain.jobs import Change, Event, Job, copy_of
from sluice_finetune.domain.runner import JobRunner
from sluice_finetune.domain.submission import created, new_job
from sluice_finetune.domain.validation import LineTooLong
from sluice_finetune.store.jobs import Jobs

pytestmark = pytest.mark.integration
PAGE = PageQuery(order="asc", limit=100)


async def add_job(database: Database, tenant: str = "a", now: float = 1000.0) -> Job:
    job = new_job(new_id("ftjob"), tenant, JobCreate(model="llama-7b", training_file=new_id("file")), 7, now)
    await Jobs(database).add(job, created(job), next_send_at=now)
    return job


async def keys(database: Database, job: Job) -> list[str]:
    return [event.message for event in (await Jobs(database).events(job.tenant, job.id, PAGE)).data]


async def test_tenants_never_meet(database: Database) -> None:
    jobs = Jobs(database)
    job = await add_job(database, "a")
    for ask in (jobs.get("b", job.id), jobs.cancel("b", job.id, 1.0), jobs.events("b", job.id, PAGE)):
        with pytest.raises(JobNotFound):
            await ask
    assert await jobs.claim("b", job.id, "w", 1.0, 10.0) is None
    assert job.id not in {found.id for found in (await jobs.list("b", PAGE)).jobs}


async def test_a_lease_has_one_holder_and_ends(database: Database) -> None:
    jobs = Jobs(database)
    job = await add_job(database)
    claims = await asyncio.gather(*(jobs.claim("a", job.id, f"w{n}", 10.0, 5.0) for n in range(8)))
    assert sum(claim is not None for claim in claims) == 1
    holder = f"w{next(n for n, claim in enumerate(claims) if claim is not None)}"
    assert await jobs.renew(job.id, holder, 14.0, 5.0)
    assert not await jobs.renew(job.id, "stranger", 14.0, 5.0)
    assert await jobs.claim("a", job.id, "late", 18.0, 5.0) is None
    taken = await jobs.claim("a", job.id, "late", 20.0, 5.0)
    assert taken is not None
    assert taken.attempts == 2
    with pytest.raises(JobLost):
        await jobs.advance(job.id, holder, Change(status="queued"), 20.0)


async def test_an_event_of_one_key_happens_once(database: Database) -> None:
    jobs = Jobs(database)
    job = await add_job(database)
    await jobs.claim("a", job.id, "w", 10.0, 5.0)
    told = Change(events=[Event("x", "info", "one"), Event("y", "warn", "two", {"n": 1})])
    await jobs.advance(job.id, "w", told, 10.0)
    await jobs.advance(job.id, "w", told, 11.0)
    assert (await keys(database, job))[1:] == ["one", "two"]


async def test_a_cancelled_job_takes_no_more_steps(database: Database) -> None:
    jobs = Jobs(database)
    job = await add_job(database)
    await jobs.claim("a", job.id, "w", 10.0, 5.0)
    cancelled = await jobs.cancel("a", job.id, 11.0)
    assert (cancelled.status, cancelled.finished_at) == ("cancelled", 11)
    with pytest.raises(JobLost):
        await jobs.advance(job.id, "w", Change(status="failed", error=JobError(code="x", message="y")), 12.0)
    with pytest.raises(JobHasEnded):
        await jobs.cancel("a", job.id, 13.0)
    assert (await jobs.get("a", job.id)).error is None
    assert await jobs.claim("a", job.id, "w2", 99.0, 5.0) is None


async def test_waiting_jobs_are_sent_when_due_and_held_ones_are_not(database: Database) -> None:
    jobs = Jobs(database)
    job = await add_job(database, now=1000.0)
    due = {waiting.job_id for waiting in await jobs.take_waiting(1000.0, 15.0)}
    assert job.id in due
    assert job.id not in {waiting.job_id for waiting in await jobs.take_waiting(1010.0, 15.0)}
    await jobs.claim("a", job.id, "w", 1010.0, 20.0)
    assert job.id not in {waiting.job_id for waiting in await jobs.take_waiting(1020.0, 15.0)}
    assert job.id in {waiting.job_id for waiting in await jobs.take_waiting(1031.0, 15.0)}


async def test_lists_are_read_page_by_page(database: Database) -> None:
    tenant = new_id("t")
    ids = [(await add_job(database, tenant)).id for _ in range(5)]
    jobs = Jobs(database)
    seen: list[str] = []
    after = None
    while True:
        page = await jobs.list(tenant, PageQuery(limit=2, after=after))
        seen += [job.id for job in page.jobs]
        if not page.has_more:
            break
        after = seen[-1]
    assert seen == sorted(ids, reverse=True)


async def test_events_are_read_page_by_page(database: Database) -> None:
    jobs = Jobs(database)
    job = await add_job(database)
    await jobs.claim("a", job.id, "w", 10.0, 5.0)
    for number in range(4):
        await jobs.advance(job.id, "w", Change(events=[Event(f"k{number}", "info", f"m{number}")]), 10.0)
    first = await jobs.events("a", job.id, PageQuery(limit=2))
    assert [event.message for event in first.data] == ["m3", "m2"]
    assert first.has_more
    rest = await jobs.events("a", job.id, PageQuery(limit=10, after=first.last_id))
    assert [event.message for event in rest.data][:2] == ["m1", "m0"]
    assert not rest.has_more
    with pytest.raises(CursorNotFound):
        await jobs.events("a", job.id, PageQuery(after="nothing"))


@dataclass
class MemoryCopies:
    """Lines by key."""

    lines_by_key: dict[str, list[bytes]]

    def lines(self, key: str) -> Iterator[bytes | LineTooLong]:
        yield from self.lines_by_key[key]

    async def remove(self, key: str) -> None:
        self.lines_by_key.pop(key, None)


def runner(
    database: Database,
    content: list[bytes],
    job_id: str,
    owner: str = "w",
    clock: FakeClock | None = None,
    record: Jobs | None = None,
) -> JobRunner:
    return JobRunner(
        record=record or Jobs(database),
        copies=MemoryCopies({copy_of(job_id, "training_file"): content}),
        backend=NoTrainingBackend(),
        clock=clock or FakeClock(),
        owner=owner,
        lease_s=20.0,
        max_attempts=9 if record or owner == "w9" else 3,
    )


EXAMPLE = json.dumps({"instruction": "q", "output": "a"}).encode()


async def test_a_job_is_checked_and_then_fails_honestly(database: Database) -> None:
    job = await add_job(database)
    run = runner(database, [EXAMPLE, EXAMPLE], job.id)
    assert await run.run("a", job.id) == "ended"
    ended = await Jobs(database).get("a", job.id)
    assert ended.status == "failed"
    assert ended.error is not None
    assert ended.error.code == "training_backend_unavailable"
    assert "no training back end, so nothing was trained" in ended.error.message
    assert "2 examples, alpaca" in ended.error.message
    assert ended.dataset is not None
    assert ended.dataset.duplicates == 1
    assert ended.preflight is not None
    assert ended.hyperparameters.n_epochs == ended.preflight.suggestion.n_epochs == 3
    assert await run.run("a", job.id) == "skipped"
    assert (await keys(database, job))[0].startswith("Created")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ([EXAMPLE, b"nope"], "1 wrong lines; line 2: not JSON"),
        ([], "holds no examples"),
        ([b"\n"], "holds no examples"),
    ],
)
async def test_a_wrong_file_fails_the_job_with_its_lines(
    database: Database, content: list[bytes], sentence: str
) -> None:
    job = await add_job(database)
    await runner(database, content, job.id).run("a", job.id)
    ended = await Jobs(database).get("a", job.id)
    assert ended.error is not None
    assert (ended.status, ended.error.code, ended.error.param) == ("failed", "invalid_training_file", "training_file")
    assert sentence in ended.error.message
    if "wrong" in sentence:
        assert ended.dataset is not None
        assert ended.dataset.errors[0].line == 2


async def test_a_run_that_was_cut_off_anywhere_goes_on_without_repeating_events(database: Database) -> None:
    straight = await add_job(database)
    await runner(database, [EXAMPLE], straight.id).run("a", straight.id)
    expected = await keys(database, straight)

    job = await add_job(database)
    clock = FakeClock()
    for attempt, steps in enumerate((0, 1, 2, 1)):
        cut = CutOff(database, steps)
        with pytest.raises(ConnectionError):
            await runner(database, [EXAMPLE], job.id, f"w{attempt}", clock, record=cut).run("a", job.id)
        clock.advance(30.0)
    assert (await Jobs(database).get("a", job.id)).status == "running"
    whole = runner(database, [EXAMPLE], job.id, "w9", clock)
    assert await whole.run("a", job.id) == "ended"
    told = [message for message in await keys(database, job) if "goes on after" not in message]
    assert [message.replace(job.id, straight.id) for message in told][1:] == [
        message.replace(straight.wish.training_file, job.wish.training_file) for message in expected
    ][1:]


async def test_a_job_that_is_interrupted_again_and_again_is_given_up(database: Database) -> None:
    job = await add_job(database)
    clock = FakeClock()
    for attempt in range(3):
        assert await Jobs(database).claim("a", job.id, f"dead{attempt}", clock.now(), 5.0)
        clock.advance(10.0)
    assert await runner(database, [EXAMPLE], job.id, clock=clock).run("a", job.id) == "given_up"
    ended = await Jobs(database).get("a", job.id)
    assert ended.error is not None
    assert ended.error.code == "interrupted_too_often"


class CutOff(Jobs):
    """Stands for a worker that dies: after `left` steps nothing reaches the database any more."""

    def __init__(self, database: Database, left: int) -> None:
        super().__init__(database)
        self.left = left

    async def advance(self, job_id: str, owner: str, change: Change, now: float) -> Job:
        if self.left == 0:
            raise ConnectionError
        self.left -= 1
        return await super().advance(job_id, owner, change, now)
