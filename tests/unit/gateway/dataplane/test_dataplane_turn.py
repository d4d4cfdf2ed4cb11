"""What one turn of the event loop writes goes out at its end, in its order."""

import asyncio
import time

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
    async def turn() -> list[tuple[str, bytes]]:
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

    assert asyncio.run(turn()) == [("one", b"1"), ("other", b"2"), ("one", b"3"), ("other", b"4")]


def test_a_long_turn_is_not_waited_for() -> None:
    async def turn() -> list[tuple[str, bytes]]:
        log: list[tuple[str, bytes]] = []
        turn, wire = Turn(asyncio.get_running_loop()), Wire(log, "one")
        turn.write(wire, b"1")
        time.sleep(0.002)
        turn.write(wire, b"2")
        return log

    assert asyncio.run(turn()) == [("one", b"1"), ("one", b"2")]


def test_what_waits_for_a_closed_connection_is_dropped() -> None:
    async def turn() -> list[tuple[str, bytes]]:
        log: list[tuple[str, bytes]] = []
        turn = Turn(asyncio.get_running_loop())
        one, other = Wire(log, "one"), Wire(log, "other")
        turn.write(one, b"1")
        turn.write(other, b"2")
        one.close()
        turn.end()
        return log

    assert asyncio.run(turn()) == [("other", b"2")]
