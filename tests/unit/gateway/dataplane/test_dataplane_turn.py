"""What one turn of the event loop reads is handled step by step, and what it writes goes out at its end, in its order."""

import asyncio
import time
from typing import Any

import pytest

from sluice_gateway.dataplane.turn import Turn


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self, log: list[tuple[str, bytes]], name: str) -> None:
        super().__init__()
        self._log, self._name = log, name
        self._closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self._closed, "a closed transport is not written to"
        self._log.append((self._name, bytes(data)))

    def is_closing(self) -> bool:
        return self._closed

    def close(self) -> None:
        self._closed = True


def test_writes_wait_for_the_end_of_the_turn_and_keep_their_order() -> None:
    async def written() -> list[tuple[str, bytes]]:
        log: list[tuple[str, bytes]] = []
        turn = Turn(asyncio.get_running_loop())
        one, other = Wire(log, "one"), Wire(log, "other")
        turn.write(one, b"1")
        turn.write(other, b"2")
        turn.write(one, b"3")
        assert log == []
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        turn.write(other, b"4")
        turn.end()
        await asyncio.sleep(0)
        return log

    assert asyncio.run(written()) == [("one", b"1"), ("other", b"2"), ("one", b"3"), ("other", b"4")]


def test_a_long_turn_is_not_waited_for() -> None:
    async def written() -> list[tuple[str, bytes]]:
        log: list[tuple[str, bytes]] = []
        turn, wire = Turn(asyncio.get_running_loop()), Wire(log, "one")
        turn.write(wire, b"1")
        time.sleep(0.002)
        turn.write(wire, b"2")
        return log

    assert asyncio.run(written()) == [("one", b"1"), ("one", b"2")]


def test_what_waits_for_a_closed_connection_is_dropped() -> None:
    async def written() -> list[tuple[str, bytes]]:
        log: list[tuple[str, bytes]] = []
        turn = Turn(asyncio.get_running_loop())
        one, other = Wire(log, "one"), Wire(log, "other")
        turn.write(one, b"1")
        turn.write(other, b"2")
        one.close()
        turn.end()
        return log

    assert asyncio.run(written()) == [("other", b"2")]


class Peer:
    """A connection, and the request that it brings: it notes its steps, and fails in those that it is told to."""

    def __init__(self, turn: Turn, steps: list[str], name: str, fails: str = "") -> None:
        self._turn, self._steps, self._name, self._fails = turn, steps, name, fails

    def _note(self, step: str) -> None:
        self._steps.append(f"{step} {self._name}")
        if step == self._fails:
            raise RuntimeError(step)

    def take(self, data: bytes) -> None:
        self._note(data.decode())
        if data == b"reply":
            self._turn.accepted(self)
        elif data == b"request":
            self._turn.admitted(self)

    def go(self) -> None:
        self._note("go")

    def finish(self) -> None:
        self._note("finish")

    def refuse(self) -> None:
        self._note("refuse")


async def test_what_was_read_goes_through_each_step_together() -> None:
    steps: list[str] = []
    turn = Turn(asyncio.get_running_loop())
    peers = {name: Peer(turn, steps, name) for name in ("one", "two", "three")}
    for peer in peers.values():
        turn.request(peer, b"request")
        turn.reply(peer, b"reply")
    assert steps == []
    await asyncio.sleep(0)
    assert steps == [f"{step} {name}" for step in ("reply", "finish", "request", "go") for name in peers]


async def test_few_do_not_wait_for_each_other() -> None:
    steps: list[str] = []
    turn = Turn(asyncio.get_running_loop())
    one, two = Peer(turn, steps, "one"), Peer(turn, steps, "two")
    turn.request(one, b"request")
    turn.reply(one, b"reply")
    turn.request(two, b"request")
    turn.reply(two, b"reply")
    assert steps == []
    await asyncio.sleep(0)
    assert steps == [
        *("reply one", "finish one", "reply two", "finish two"),
        *("request one", "go one", "request two", "go two"),
    ]


async def test_what_one_connection_read_keeps_its_order() -> None:
    steps: list[str] = []
    turn = Turn(asyncio.get_running_loop())
    peer = Peer(turn, steps, "one")
    for part in (b"head", b"body", b"request"):
        turn.request(peer, part)
    turn.end()
    assert steps == ["head one", "body one", "request one", "go one"]
    await asyncio.sleep(0)
    assert len(steps) == 4, "it is handled once, though the end of the turn was planned"


@pytest.mark.parametrize("step", ["reply", "finish", "request", "go"])
async def test_a_mistake_in_one_step_closes_one_connection(step: str) -> None:
    steps: list[str] = []
    told: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, said: told.append(said))
    turn = Turn(loop)
    for peer in (Peer(turn, steps, "bad", step), Peer(turn, steps, "good")):
        turn.reply(peer, b"reply")
        turn.request(peer, b"request")
    await asyncio.sleep(0)
    assert steps.count("refuse bad") == 1
    assert "refuse good" not in steps
    assert [name for name in steps if name.endswith("good")] == ["reply good", "finish good", "request good", "go good"]
    assert [str(said["exception"]) for said in told] == [step]


async def test_what_comes_of_the_last_step_has_a_turn_of_its_own() -> None:
    steps: list[str] = []
    turn = Turn(asyncio.get_running_loop())

    class Answered(Peer):
        def go(self) -> None:
            super().go()
            turn.accepted(self)

    turn.request(Answered(turn, steps, "one"), b"request")
    await asyncio.sleep(0)
    assert steps[-1] == "go one"
    await asyncio.sleep(0)
    assert steps[-1] == "finish one"
