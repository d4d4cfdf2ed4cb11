import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_gateway.usage.framing import MAX_PAYLOAD, decode, frame

payloads = st.lists(st.binary(min_size=1, max_size=200), max_size=12)


@given(payloads)
def test_what_is_framed_is_decoded(records: list[bytes]) -> None:
    data = b"".join(map(frame, records))
    assert decode(data, limit=100) == (records, len(data), False)


@given(payloads, st.integers(1, 5))
def test_a_limit_stops_at_a_frame_and_the_rest_follows(records: list[bytes], limit: int) -> None:
    data = b"".join(map(frame, records))
    read: list[bytes] = []
    position = 0
    while True:
        found = decode(data[position:], limit=limit)
        assert len(found.payloads) <= limit
        if not found.payloads:
            break
        read += found.payloads
        position += found.consumed
    assert read == records


@given(payloads.filter(bool), st.data())
def test_a_torn_tail_loses_only_the_torn_record(records: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(map(frame, records))
    last = frame(records[-1])
    cut = data.draw(st.integers(1, len(last)))
    found = decode(whole[:-cut], limit=100)
    assert found.payloads == records[:-1]
    assert not found.corrupt
    assert found.consumed == len(whole) - len(last)


@given(payloads.filter(bool), st.data())
def test_a_changed_byte_never_yields_a_changed_record(records: list[bytes], data: st.DataObject) -> None:
    whole = bytearray(b"".join(map(frame, records)))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    found = decode(bytes(whole), limit=100)
    assert found.payloads == records[: len(found.payloads)]
    assert len(found.payloads) < len(records)


def test_a_hole_of_zero_bytes_is_no_record() -> None:
    found = decode(frame(b"one") + bytes(4096), limit=100)
    assert found.payloads == [b"one"]
    assert found.corrupt


@pytest.mark.parametrize("payload", [b"", bytes(MAX_PAYLOAD + 1)])
def test_empty_and_huge_records_are_refused(payload: bytes) -> None:
    with pytest.raises(ValueError, match="a journal record has"):
        frame(payload)
