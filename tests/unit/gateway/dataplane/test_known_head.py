"""A head counts as known only when it is the same byte for byte, with its whole body and nothing more."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_gateway.dataplane.known_head import HeadMemory

HEAD = b"POST /v1/x HTTP/1.1\r\nhost: x\r\nContent-Length: %d\r\naccept: */*\r\n\r\n"


def message(body: bytes, head: bytes = HEAD) -> bytes:
    return head % len(body) + body


def memory_of(data: bytes) -> HeadMemory[str]:
    memory: HeadMemory[str] = HeadMemory()
    memory.learn(data, "first", 0.0)
    assert memory.known is None, "one message says nothing of the next"
    memory.learn(data, "known", 0.0)
    return memory


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_another_length_is_the_same_head(first: bytes, other: bytes) -> None:
    known = memory_of(message(first)).known
    assert known is not None
    assert known.what == "known"
    assert known.body_of(message(other)) == other


@given(st.integers(0, 200), st.integers(0, 255), st.binary(min_size=1, max_size=30))
def test_a_head_that_differs_anywhere_is_unknown(place: int, byte: int, body: bytes) -> None:
    data = message(body)
    known = memory_of(data).known
    assert known is not None
    place %= len(data) - len(body)
    changed = data[:place] + bytes([byte]) + data[place + 1 :]
    assert known.body_of(changed) == (body if changed == data else None)


@given(st.integers(0, 200), st.binary(min_size=1, max_size=40))
def test_what_is_not_whole_or_has_more_behind_it_is_unknown(cut: int, more: bytes) -> None:
    data = message(b"hello")
    known = memory_of(data).known
    assert known is not None
    assert known.body_of(data[: cut % len(data)]) is None
    assert known.body_of(data + more) is None
    assert known.body_of(data + data) is None


@pytest.mark.parametrize("length", [b"-5", b"+5", b" 5", b"5 ", b"0x5", b"5_0", b"", b"55555555555555", "٥".encode()])
def test_a_length_is_digits(length: bytes) -> None:
    data = message(b"hello")
    known = memory_of(data).known
    assert known is not None
    assert known.body_of(data.replace(b": 5\r\n", b": " + length + b"\r\n")) is None


@pytest.mark.parametrize(
    "data",
    [
        b"POST / HTTP/1.1\r\nhost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        message(b"one") + message(b"two"),
        b"POST / HTTP/1.1\r\nx: content-length: 3\r\n\r\nabc",
    ],
)
def test_what_is_no_single_message_with_a_length_is_not_remembered(data: bytes) -> None:
    assert memory_of(data).known is None


def test_remembering_in_vain_rests() -> None:
    memory: HeadMemory[int] = HeadMemory()
    for number in range(50):
        memory.learn(message(b"x", HEAD.replace(b"*/*", b"text/x-" + str(number).encode())), number, 0.5)
    assert memory.known is None
    data = message(b"x")
    memory.learn(data, 1, 1.0)
    assert memory.known is None, "it rests"
    memory.learn(data, 2, 1.6)
    assert memory.known is not None
    assert memory.known.body_of(data) == b"x"
