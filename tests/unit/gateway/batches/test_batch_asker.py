"""What becomes of a line whose request is refused, breaks, or meets a key that the gateway does not take."""

import json
from collections.abc import AsyncIterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from sluice.clock import SystemClock
from sluice.telemetry.metrics import MetricRegistry
from sluice_gateway.batches.asker import AskLimits, BatchAsker
from sluice_gateway.batches.book import SqlBatchBook
from sluice_gateway.batches.files import BatchPapers
from sluice_gateway.batches.gate import Gate, Stop
from sluice_gateway.batches.metrics import BatchWorkerMetrics
from sluice_gateway.domain.batch_lines import RequestLine
from sluice_gateway.domain.batches import BatchKey, KeyRefused, LineAnswer, NotAnswered, OnBehalf, Said, Work

CHAT = "/v1/chat/completions"
WHO = OnBehalf("acme", "key_1")
WORK = Work(
    key=BatchKey("acme", "batch_1"),
    on_behalf=WHO,
    status="in_progress",
    outcome=None,
    endpoint=CHAT,
    input_file_id="file_1",
    expires_at=2**40,
    output_keep_s=3600,
    total=3,
    completed=0,
    failed=0,
)
GOOD = Said(200, "req_1", b"{}")


@dataclass
class Book(SqlBatchBook):
    """A book in memory."""

    done: set[int] = field(default_factory=set)
    kept: list[LineAnswer] = field(default_factory=list)

    async def answered(self, key: BatchKey) -> AbstractSet[int]:
        return set(self.done)

    async def write(self, key: BatchKey, owner: str, answers: Sequence[LineAnswer]) -> None:
        self.kept += answers


class Papers(BatchPapers):
    """An input of three lines."""

    async def requests(self, work: Work) -> AsyncIterator[RequestLine]:
        for number in (1, 2, 3):
            yield RequestLine(number, f"c{number}", "m", b"%d" % number)


@dataclass
class Target:
    """Answers what it is told, by line; then well."""

    told: dict[bytes, list[Said | Exception]] = field(default_factory=dict)
    asked: list[bytes] = field(default_factory=list)

    async def ask(self, who: OnBehalf, endpoint: str, body: bytes, timeout_s: float) -> Said:
        self.asked.append(body)
        said = self.told[body].pop(0) if self.told.get(body) else GOOD
        if isinstance(said, Exception):
            raise said
        return said


@dataclass
class Keys:
    """A key that works or not."""

    working: bool = True

    async def works(self, who: OnBehalf) -> bool:
        return self.working


async def idle(model: str) -> float:
    return 0.0


class Fast(SystemClock):
    """A clock on which pauses are soon over."""

    @staticmethod
    def monotonic() -> float:  # type: ignore[override]
        return SystemClock.monotonic() * 100


async def ask(book: Book, target: Target, keys: Keys | None = None) -> Stop:
    clock, stop = Fast(), Stop()
    asker = BatchAsker(
        book=book,
        papers=Papers(None, book, clock, str),  # type: ignore[arg-type] # no files are opened here
        target=target,
        keys=keys or Keys(),
        gate=Gate(clock=clock, busy=idle, busy_share=0.8, most=4, most_in_all=4),
        clock=clock,
        metrics=BatchWorkerMetrics(MetricRegistry()),
        limits=AskLimits(lanes=4, max_tries=2, request_s=1.0, first_pause_s=0.001, grace_s=0.0),
        new_id=lambda prefix: f"{prefix}_1",
    )
    await asker.ask_all(WORK, "me", stop)
    return stop


def shown(book: Book) -> dict[int, tuple[bool, object]]:
    """What was kept, by line: whether it is good, and its status or error code."""
    found: dict[int, tuple[bool, object]] = {}
    for answer in book.kept:
        line = json.loads(answer.text)
        told = line["error"]["code"] if line["error"] else line["response"]["status_code"]
        assert answer.line not in found
        found[answer.line] = (answer.ok, told)
    return found


async def test_lines_that_have_their_answer_are_not_asked() -> None:
    book, target = Book(done={2}), Target()
    await ask(book, target)
    assert sorted(target.asked) == [b"1", b"3"]


async def test_refusals_are_answers_and_what_breaks_is_given_up() -> None:
    broken = NotAnswered("The connection to the gateway broke.")
    server = NotAnswered("x", said=Said(502, "req_2", b"{}"))
    book = Book()
    target = Target({b"1": [Said(400, "req_1", b"{}")], b"2": [broken, broken], b"3": [broken, server]})
    assert (await ask(book, target)).why is None
    assert shown(book) == {1: (False, 400), 2: (False, "request_failed"), 3: (False, 502)}


async def test_an_answer_that_is_too_large_is_paid_for_once() -> None:
    book, target = Book(), Target({b"2": [NotAnswered("too large", too_large=True)] * 2})
    await ask(book, target)
    assert shown(book) == {1: (True, 200), 2: (False, "answer_too_large"), 3: (True, 200)}
    assert target.asked.count(b"2") == 1


async def test_want_of_room_is_waited_out_however_long_it_lasts() -> None:
    book, target = Book(), Target({b"2": [NotAnswered("full", busy=True, after_s=1.0)] * 5})
    await ask(book, target)
    assert shown(book) == {1: (True, 200), 2: (True, 200), 3: (True, 200)}
    assert target.asked.count(b"2") == 6


async def test_a_key_that_a_gateway_has_not_read_yet_is_tried_again() -> None:
    book, target = Book(), Target({b"1": [KeyRefused(), KeyRefused()]})
    assert (await ask(book, target)).why is None
    assert len(shown(book)) == 3


async def test_a_key_that_works_no_more_ends_the_batch() -> None:
    book, target = Book(), Target({n: [KeyRefused()] for n in (b"1", b"2", b"3")})
    assert (await ask(book, target, Keys(working=False))).why == "key_refused"
    assert book.kept == []


def quota(after_s: float) -> NotAnswered:
    """The refusal of a budget whose period ends after so many seconds."""
    return NotAnswered("x", busy=True, spent=True, after_s=after_s, said=Said(429, "req_2", b"{}"))


async def test_a_budget_that_is_used_up_is_waited_for_only_if_it_is_new_within_the_window() -> None:
    never, soon = 2.0**50, 1.0
    book, target = Book(done={1, 2}), Target({b"3": [quota(soon), quota(soon)]})
    await ask(book, target)
    assert shown(book) == {3: (True, 200)}
    book, target = Book(done={1, 2}), Target({b"3": [quota(never)]})
    await ask(book, target)
    assert shown(book) == {3: (False, 429)}
