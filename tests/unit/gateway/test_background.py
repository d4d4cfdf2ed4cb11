"""Responses in the background: what is asked again, what becomes of it, how it is told, and what a worker does."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import pytest

from sluice.errors import DependencyUnavailable
from sluice.telemetry.metrics import MetricRegistry
from sluice.testing import FakeClock
from sluice_gateway.domain.background import (
    STANDS_APART,
    BackgroundWork,
    Candidate,
    answered,
    body_again,
    failed,
    headers_again,
    pause_after_refusal,
)
from sluice_gateway.domain.batch_lines import LineWrong, RawLine, read_request
from sluice_gateway.domain.batches import KeyRefused, NotAnswered, OnBehalf, Said
from sluice_gateway.domain.responses import StoredResponse
from sluice_gateway.responses.background_metrics import BackgroundMetrics
from sluice_gateway.responses.background_runner import BackgroundLimits, BackgroundRunner
from sluice_gateway.responses.following import Follower
from sluice_gateway.translate.responses.retold import events_of, stream_of

MESSAGE = {"type": "message", "id": "msg_1", "role": "assistant", "content": [{"type": "output_text", "text": "Hi."}]}
BEGUN: dict[str, Any] = {
    "id": "resp_1",
    "object": "response",
    "created_at": 100,
    "status": "in_progress",
    "background": True,
    "store": True,
    "model": "m",
    "output": [],
    "conversation": {"id": "conv_1"},
}
OK = Said(200, "req_1", orjson.dumps({"id": "resp_x", "status": "completed", "created_at": 7, "output": [MESSAGE]}))


def test_what_is_asked_later_is_a_whole_answer_that_is_not_kept() -> None:
    came = {"model": "m", "input": "?", "background": True, "stream": True, "stream_options": {}, "store": True}
    assert orjson.loads(body_again(came, None)) == {"model": "m", "input": "?", "store": False}
    prompt = {"id": "p", "variables": {"a": "b"}}
    assert orjson.loads(body_again({"prompt": prompt}, 3))["prompt"] == {**prompt, "version": "3"}
    assert orjson.loads(body_again({"prompt": prompt}, None))["prompt"] == prompt


def test_our_own_headers_go_along_and_no_others() -> None:
    came = [
        (b"authorization", b"Bearer sk-1"),
        (b"cookie", b"c"),
        (b"x-sluice-tags", b"a=b"),
        (b"x-sluice-deadline-ms", b"1"),
        (b"x-sluice-apart", b"1"),
    ]
    assert orjson.loads(headers_again(came)) == {"x-sluice-tags": "a=b"}


def test_an_answer_keeps_the_id_the_time_and_the_conversation() -> None:
    found = answered(BEGUN, OK, 200.9)
    assert (found["id"], found["created_at"], found["completed_at"]) == ("resp_1", 100, 200)
    assert (found["background"], found["store"], found["conversation"]) == (True, True, {"id": "conv_1"})
    assert (found["status"], found["output"]) == ("completed", [MESSAGE])
    short = answered(BEGUN, OK._replace(body=OK.body.replace(b'"completed"', b'"incomplete"')), 200.0)
    assert (short["status"], "completed_at" in short) == ("incomplete", False)


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (400, b'{"error":{"code":"content_filter","message":"No."}}', "content_filter"),
        (400, b'{"error":{"code":null,"message":"No."}}', "invalid_prompt"),
        (502, b"<html>", "server_error"),
        (200, b'{"no": "response"}', "invalid_prompt"),
    ],
)
def test_a_refusal_is_a_failure_with_its_reason(status: int, body: bytes, code: str) -> None:
    found = answered(BEGUN, Said(status, "", body), 200.0)
    assert (found["status"], found["error"]["code"], found["output"]) == ("failed", code, [])
    assert found["error"]["message"]


def test_pauses_grow_with_the_wait_and_heed_what_is_asked_for() -> None:
    assert [pause_after_refusal(waits, None) for waits in (0, 100, 10_000)] == [1.0, 10.0, 60.0]
    assert [pause_after_refusal(0, asked) for asked in (5.0, 10_000.0)] == [5.0, 600.0]


def test_numbers_of_events_are_the_same_at_every_time() -> None:
    queued, begun = {**BEGUN, "status": "queued"}, BEGUN
    done = answered(BEGUN, OK, 200.0)
    told = [[event["type"] for event in events_of(each)] for each in (queued, begun, done)]
    assert told[0] == ["response.created", "response.queued"]
    assert told[1] == [*told[0], "response.in_progress"]
    assert told[2][:3] == told[1]
    assert told[2][-1] == "response.completed"
    for ended in ({**queued, "status": "cancelled"}, failed(BEGUN, "code", "why")):
        kinds = [event["type"] for event in events_of(ended)]
        assert kinds == [*told[1], f"response.{ended['status']}"]
    assert events_of(done)[0]["response"]["status"] == "queued"
    assert "completed_at" not in events_of(done)[0]["response"]
    plain = {**done, "background": False}
    assert [event["type"] for event in events_of(plain)][:2] == ["response.created", "response.in_progress"]


def test_a_line_of_a_batch_has_no_background_of_its_own() -> None:
    body = {"model": "m", "input": "?", "background": True}
    line = {"custom_id": "a", "method": "POST", "url": "/v1/responses", "body": body}
    with pytest.raises(LineWrong, match="background"):
        read_request(RawLine(1, orjson.dumps(line)), "/v1/responses", 10_000)
    body["background"] = False
    assert read_request(RawLine(1, orjson.dumps(line)), "/v1/responses", 10_000).model == "m"


def _stored(response: dict[str, Any]) -> StoredResponse:
    return StoredResponse("resp_1", "t", "o", "k", None, "m", 1, 2, "[]", orjson.dumps(response).decode())


async def _followed(states: Sequence[Any], after: int, **limits: float) -> list[bytes]:
    left = list(states)

    async def get(_tenant: str, _response_id: str) -> StoredResponse | None:
        state = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(state, Exception):
            raise state
        return None if state is None else _stored(state)

    follower = Follower(get, FakeClock(), **{"longest_s": 1000.0, **limits})
    return [part async for part in follower.events("t", "resp_1", after)]


def _numbered(stream: bytes) -> list[tuple[str, int]]:
    found = [orjson.loads(line[6:]) for line in stream.splitlines() if line.startswith(b"data: ")]
    return [(event["type"], event["sequence_number"]) for event in found]


async def test_events_come_once_across_all_that_happens() -> None:
    done = answered(BEGUN, OK, 200.0)
    away = DependencyUnavailable("away")
    parts = await _followed([{**BEGUN, "status": "queued"}, away, BEGUN, BEGUN, done], -1)
    assert _numbered(b"".join(parts)) == _numbered(stream_of(done))
    assert [bool(part) for part in parts] == [True, False, True, False, True]
    assert b"".join(await _followed([BEGUN, done], 2)) == stream_of(done, 2)
    assert await _followed([done], 10_000) == [b""]


async def test_a_follower_shows_signs_of_life_and_leaves_in_the_end() -> None:
    assert await _followed([BEGUN], 2, quiet_s=0.0, longest_s=0.0) == [b": waiting\n\n"]
    assert await _followed([BEGUN, None], 2) == [b""], "one that was deleted has no end to tell"


class _Book:
    """Responses in memory."""

    def __init__(self, *ids: tuple[str, str]) -> None:
        self.waiting = {name: Candidate(name, tenant) for name, tenant in ids}
        self.expires_at = FakeClock().now() + 10_000.0
        self.taken: set[str] = set()
        self.ended: dict[str, dict[str, Any]] = {}
        self.released: dict[str, float] = {}
        self.gone: set[str] = set()

    async def due(self, now: float, limit: int, without: Sequence[str]) -> Sequence[Candidate]:
        return [one for one in self.waiting.values() if one.tenant not in without][:limit]

    async def take(self, response_id: str, owner: str, now: float, lease_s: float) -> BackgroundWork | None:
        found = self.waiting.pop(response_id)
        self.taken.add(response_id)
        return BackgroundWork(
            id=response_id,
            on_behalf=OnBehalf(found.tenant, "key"),
            previous_id=None,
            body=b"{}",
            headers=STANDS_APART,
            response={**BEGUN, "id": response_id},
            input_size=10,
            created_at=0,
            expires_at=self.expires_at,
        )

    async def held(self, owner: str) -> frozenset[str]:
        return frozenset(self.taken - self.gone)

    async def hold(self, owner: str, until: float) -> None:
        return

    async def finish(self, work: BackgroundWork, owner: str, response: dict[str, Any], now: float, keep_s: int) -> bool:
        self.ended[work.id] = response
        self.taken.discard(work.id)
        return True

    async def release(self, response_id: str, owner: str, look_at: float) -> None:
        self.taken.discard(response_id)
        self.released[response_id] = look_at

    async def unfinished(self) -> int:
        return len(self.waiting) + len(self.taken)


class _Target:
    """Answers in order; an event is waited for first."""

    def __init__(self, *answers: Said | Exception | asyncio.Event) -> None:
        self.answers = list(answers)
        self.asked = 0
        self.stopped = 0

    async def ask(
        self, who: OnBehalf, endpoint: str, body: bytes, timeout_s: float, headers: Mapping[str, str] = STANDS_APART
    ) -> Said:
        self.asked += 1
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(found, asyncio.Event):
            try:
                await found.wait()
            except asyncio.CancelledError:
                self.stopped += 1
                raise
            return OK
        if isinstance(found, Exception):
            raise found
        return found


class _Keys:
    def __init__(self, works: bool) -> None:
        self._works = works

    async def works(self, who: OnBehalf) -> bool:
        return self._works


async def _until(done: Any) -> None:
    for _ in range(500):
        if done():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it did not come about")


def _runner(
    book: _Book, target: _Target, *, works: bool = True, lanes: int = 8, most: int = 10_000
) -> BackgroundRunner:
    limits = BackgroundLimits(lanes, 0.005, 1000.0, 60.0, 0.001, 0.0, 3, most, 86_400)
    metrics = BackgroundMetrics(MetricRegistry())
    return BackgroundRunner(book, target, _Keys(works), FakeClock(), metrics, limits, "worker")


async def _ended(book: _Book, target: _Target, **changes: Any) -> dict[str, Any] | None:
    runner = _runner(book, target, **changes)
    running = asyncio.create_task(runner.run())
    await _until(lambda: book.ended or book.released)
    running.cancel()
    await runner.close()
    return book.ended.get("a")


async def test_broken_tries_are_repeated_and_then_told() -> None:
    broken = NotAnswered("broke", said=Said(502, "", b'{"error":{"code":"upstream_failed","message":"Broke."}}'))
    target = _Target(broken, OK)
    found = await _ended(_Book(("a", "t")), target)
    assert found is not None
    assert (found["status"], target.asked) == ("completed", 2)
    target = _Target(broken)
    found = await _ended(_Book(("a", "t")), target)
    assert found is not None
    assert (found["status"], found["error"]["code"], target.asked) == ("failed", "upstream_failed", 3)


async def test_an_answer_that_cannot_be_taken_in_is_paid_for_once() -> None:
    target = _Target(NotAnswered("The answer is larger than 5 bytes.", too_large=True))
    found = await _ended(_Book(("a", "t")), target)
    assert found is not None
    assert (found["status"], found["error"]["code"], target.asked) == ("failed", "response_too_large", 1)


async def test_one_without_room_waits_and_a_spent_budget_fails() -> None:
    book = _Book(("a", "t"))
    assert await _ended(book, _Target(NotAnswered("busy", busy=True, after_s=30.0))) is None
    assert book.released["a"] == FakeClock().now() + 60.0  # it has waited for long
    spent = Said(429, "", b'{"error":{"code":"insufficient_quota","message":"Spent."}}')
    found = await _ended(_Book(("a", "t")), _Target(NotAnswered("spent", busy=True, spent=True, said=spent)))
    assert found is not None
    assert found["error"] == {"code": "insufficient_quota", "message": "Spent."}


async def test_a_refused_key_is_looked_up_before_it_counts() -> None:
    found = await _ended(_Book(("a", "t")), _Target(KeyRefused()), works=False)
    assert found is not None
    assert found["error"]["code"] == "invalid_api_key"
    book = _Book(("a", "t"))
    assert await _ended(book, _Target(KeyRefused()), works=True) is None
    assert "a" in book.released


async def test_what_is_too_late_or_too_large_fails_with_the_reason() -> None:
    book, target = _Book(("a", "t")), _Target(OK)
    book.expires_at = FakeClock().now()
    found = await _ended(book, target)
    assert found is not None
    assert (found["error"]["code"], target.asked) == ("background_expired", 0)
    found = await _ended(_Book(("a", "t")), _Target(OK), most=150)
    assert found is not None
    assert found["error"]["code"] == "response_too_large"


async def test_a_tenant_has_half_of_the_lanes_and_what_is_cancelled_is_stopped() -> None:
    gate = asyncio.Event()
    book, target = _Book(("a", "t"), ("b", "t"), ("c", "t"), ("d", "u")), _Target(gate)
    runner = _runner(book, target, lanes=4)
    running = asyncio.create_task(runner.run())
    await _until(lambda: book.taken == {"a", "b", "d"})
    book.gone.add("a")
    await _until(lambda: target.stopped == 1)
    await _until(lambda: "c" in book.taken)
    gate.set()
    await _until(lambda: set(book.ended) == {"b", "c", "d"})
    running.cancel()
    await runner.close()


async def test_a_worker_that_stops_gives_back_what_it_could_not_end() -> None:
    book, target = _Book(("a", "t")), _Target(asyncio.Event())
    runner = _runner(book, target)
    running = asyncio.create_task(runner.run())
    await _until(lambda: target.asked == 1)
    running.cancel()
    await runner.close()
    assert (set(book.released), target.stopped) == ({"a"}, 1)
