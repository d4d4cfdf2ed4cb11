"""The runner's loop against a target and a book that do what the test says."""

import asyncio
from dataclasses import dataclass, field

import pytest

from sluice.clock import SystemClock
from sluice.contracts.evals import CreateEval, EvalItem, EvalItemResult, RunStatus, Sampling
from sluice.telemetry.metrics import MetricRegistry
from sluice_eval.domain.errors import RunKeyForbidden, RunKeyMissing
from sluice_eval.domain.runs import Answer, NotAnswered, OnBehalf, RunKey, Work, key_of_run, pause_before
from sluice_eval.domain.scoring import Meaning
from sluice_eval.metrics import EvalMetrics
from sluice_eval.runner import EvalRunner, Limits

KEY = RunKey("t", "evalrun_1")
CALLER = OnBehalf("t", "key_1")
LIMITS = Limits(item_s=2.0, run_s=60.0, max_tries=3, first_pause_s=0.01, lease_s=0.3)


def suite_of(count: int) -> CreateEval:
    items = [{"id": f"i{n}", "prompt": f"p{n}", "expected": f"p{n}", "scorer": "exact"} for n in range(1, count + 1)]
    return CreateEval.model_validate({"name": "s", "items": items})


@dataclass
class ScriptedBook:
    work: Work | None
    results: list[EvalItemResult] = field(default_factory=list)
    ended: tuple[RunStatus, str | None] | None = None
    held: int = 0
    ours: bool = True

    async def take(self, key: RunKey, owner: str, now: float, lease_s: float) -> Work | None:
        return self.work

    async def hold(self, key: RunKey, owner: str, until: float) -> bool:
        self.held += 1
        return self.ours

    async def write(self, key: RunKey, owner: str, result: EvalItemResult) -> bool:
        if self.ours:
            self.results.append(result)
        return self.ours

    async def finish(self, key: RunKey, owner: str, status: RunStatus, error: str | None, now: float) -> bool:
        if self.ours:
            self.ended = (status, error)
        return self.ours


@dataclass
class ScriptedTarget:
    """Echoes the prompt; `failures` come first, per prompt."""

    failures: dict[str, list[NotAnswered]] = field(default_factory=dict)
    seconds: float = 0.0
    asked: list[str] = field(default_factory=list)
    callers: set[OnBehalf] = field(default_factory=set)
    at_once: int = 0
    most_at_once: int = 0

    async def ask(
        self, on_behalf: OnBehalf, model: str, item: EvalItem, sampling: Sampling, timeout_s: float
    ) -> Answer:
        prompt = item.prompt or ""
        self.callers.add(on_behalf)
        self.asked.append(prompt)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self.at_once -= 1
        if self.failures.get(prompt):
            raise self.failures[prompt].pop(0)
        return Answer(prompt, "m", "stop", "req-1", 3, 1, 0.5)


def work(count: int, *, concurrency: int = 2, done: frozenset[int] = frozenset()) -> Work:
    return Work(CALLER, "m", concurrency, suite_of(count), done, SystemClock().now())


@dataclass
class ScriptedReader:
    """Finds every answer as much like the texts as the test says."""

    cosine: float | None = 0.9
    asked: list[tuple[str, str, Meaning]] = field(default_factory=list)

    async def nearest(self, tenant: str, answer: str, meaning: Meaning) -> float:
        self.asked.append((tenant, answer, meaning))
        if self.cosine is None:
            raise NotAnswered("The answer could not be compared by meaning: away.")
        return self.cosine


async def run(
    book: ScriptedBook, target: ScriptedTarget, limits: Limits = LIMITS, reader: ScriptedReader | None = None
) -> None:
    metrics, reads = EvalMetrics(MetricRegistry()), reader or ScriptedReader()
    await EvalRunner(book, target, SystemClock(), metrics, limits, lambda: "worker_1", reads).run(KEY)


@pytest.mark.parametrize(
    ("cosine", "outcome", "reason"),
    [
        (0.9, "passed", "cosine 0.900, at least 0.85 is wanted"),
        (0.8, "failed", "cosine 0.800, at least 0.85 is wanted"),
        (None, "error", "The answer could not be compared by meaning: away."),
    ],
)
async def test_an_answer_is_held_against_what_is_meant(cosine: float | None, outcome: str, reason: str) -> None:
    scorer = {"kind": "similarity", "min_score": 0.85}
    items = [{"id": "i1", "prompt": "p1", "expected": ["a harbour", "a port"], "scorer": scorer}]
    suite = CreateEval.model_validate({"name": "s", "items": items})
    book = ScriptedBook(Work(CALLER, "m", 1, suite, frozenset(), SystemClock().now()))
    reader = ScriptedReader(cosine)
    await run(book, ScriptedTarget(), reader=reader)
    assert (book.results[0].outcome, book.results[0].reason) == (outcome, reason)
    assert reader.asked == [("t", "p1", Meaning(("a harbour", "a port"), None))]


async def test_every_item_has_one_result_and_no_more_are_asked_at_once_than_allowed() -> None:
    book, target = ScriptedBook(work(9, concurrency=3)), ScriptedTarget(seconds=0.02)
    await run(book, target)
    assert book.ended == ("completed", None)
    assert sorted(result.position for result in book.results) == list(range(1, 10))
    assert {result.outcome for result in book.results} == {"passed"}
    assert target.most_at_once == 3
    assert target.callers == {CALLER}
    assert book.results[0].cost_usd == 0.5


async def test_only_what_has_no_result_is_asked() -> None:
    book, target = ScriptedBook(work(4, done=frozenset({1, 3}))), ScriptedTarget()
    await run(book, target)
    assert sorted(target.asked) == ["p2", "p4"]


async def test_a_busy_gateway_is_asked_again() -> None:
    busy = [NotAnswered("status 429", again=True), NotAnswered("status 503", again=True)]
    book, target = ScriptedBook(work(1)), ScriptedTarget({"p1": busy})
    await run(book, target)
    assert (book.results[0].outcome, book.results[0].tries) == ("passed", 3)


@pytest.mark.parametrize(
    ("failures", "tries"),
    [
        ([NotAnswered("status 500", again=True) for _ in range(9)], 3),
        ([NotAnswered("status 400: too long")], 1),
        ([NotAnswered("status 429", again=True, after_s=30.0)], 1),
    ],
)
async def test_an_item_without_an_answer_is_an_error_with_its_reason(failures: list[NotAnswered], tries: int) -> None:
    reason = failures[0].reason
    book, target = ScriptedBook(work(2)), ScriptedTarget({"p2": failures})
    await run(book, target)
    outcomes = {result.id: result for result in book.results}
    assert outcomes["i1"].outcome == "passed"
    assert (outcomes["i2"].outcome, outcomes["i2"].tries) == ("error", tries)
    assert reason in outcomes["i2"].reason
    assert book.ended == ("completed", None)


async def test_a_refused_key_ends_the_run() -> None:
    refused = [NotAnswered("The gateway answered with status 401: no such key", for_all=True)]
    book, target = ScriptedBook(work(50)), ScriptedTarget({"p1": refused}, seconds=0.01)
    await run(book, target)
    assert book.ended == ("failed", "The gateway answered with status 401: no such key")
    assert len(target.asked) < 10


async def test_the_lease_is_kept_while_items_take_long() -> None:
    book, target = ScriptedBook(work(1)), ScriptedTarget(seconds=0.5)
    await run(book, target)
    assert book.held >= 3


async def test_a_cancelled_run_stops_soon_and_writes_nothing_more() -> None:
    book, target = ScriptedBook(work(100)), ScriptedTarget(seconds=0.05)
    running = asyncio.create_task(run(book, target))
    await asyncio.sleep(0.12)
    book.ours = False
    written = len(book.results)
    await asyncio.wait_for(running, 60)
    assert (len(book.results), book.ended) == (written, None)
    assert len(target.asked) < 20


async def test_a_run_has_an_end() -> None:
    book, target = ScriptedBook(work(3)), ScriptedTarget(seconds=5)
    await run(book, target, Limits(60.0, 0.1, 3, 0.01, 0.3))
    assert book.ended == ("failed", "The run did not end within 0 s.")


async def test_a_run_that_is_not_ours_is_left_alone() -> None:
    book, target = ScriptedBook(None), ScriptedTarget()
    await run(book, target)
    assert (target.asked, book.ended) == ([], None)


def test_pauses_double_up_to_a_limit_and_respect_what_is_asked() -> None:
    assert [pause_before(n, 0.5, None) for n in (2, 3, 4)] == [0.5, 1.0, 2.0]
    assert pause_before(2, 0.5, 7.0) == 7.0
    assert pause_before(60, 0.5, None) == 30.0


def test_a_run_asks_with_the_callers_own_key() -> None:
    assert key_of_run("key_1", None, may_name=False) == "key_1"
    assert key_of_run("key_1", "key_1", may_name=False) == "key_1"
    for may_name in (True, False):
        with pytest.raises(RunKeyForbidden, match="Leave `api_key_id` out"):
            key_of_run("key_1", "key_2", may_name=may_name)


def test_a_caller_without_a_key_names_one_if_he_may() -> None:
    assert key_of_run(None, "key_2", may_name=True) == "key_2"
    for named, may_name in ((None, True), (None, False), ("key_2", False)):
        with pytest.raises(RunKeyMissing, match="api_key_id"):
            key_of_run(None, named, may_name=may_name)
