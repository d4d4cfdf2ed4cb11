"""Same-style traffic passes as it came, with its counts; and what an endpoint may ask of which provider."""

import json
from collections.abc import Callable
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.gateway.translate import test_anthropic_provider as anthropic
from tests.unit.gateway.translate.samples import ASKED, sse
from tests.unit.gateway.translate.test_stream_cuts import WRITERS

from sluice_gateway.translate.anthropic import passing
from sluice_gateway.translate.errors import Untranslatable
from sluice_gateway.translate.events import EventReader
from sluice_gateway.translate.pairing import StreamPiece
from sluice_gateway.translate.registry import client, counting, must_complete, provider
from sluice_gateway.translate.shapes import ClientStyle, Failure, Style, Usage

Json = dict[str, Any]
RAW = b'{ "model": "claude-opus-5-5",  "max_tokens": 5, "messages": [], "mcp_servers": [{}] }'
WIRE = sse(anthropic.EVENTS, named=True)


def test_the_bytes_that_came_go_out() -> None:
    found = passing.request(RAW, json.loads(RAW), "claude-opus-5-5", version="2023-06-01", beta="context-1m")
    assert found.body is RAW
    assert dict(found.headers) == {"anthropic-version": "2023-06-01", "anthropic-beta": "context-1m"}


def test_another_name_is_written_in_and_our_own_object_out() -> None:
    fields = {**json.loads(RAW), "model": "public", "sluice": {}, "temperature": 1}
    found = passing.request(b"", fields, "claude-opus-5-5", version=None, beta=None, path="/messages/count_tokens")
    assert json.loads(found.body) == {**json.loads(RAW), "temperature": 1}
    assert (found.path, dict(found.headers)) == ("/messages/count_tokens", {"anthropic-version": "2023-06-01"})


def test_a_whole_answer_passes_with_its_counts() -> None:
    body = json.dumps(anthropic.MESSAGE).encode()
    assert passing.answer(body, anthropic.MESSAGE) == (body, Usage(1320, 55, 1000, 300, 12), "tool_calls")


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_stream_passes_with_its_counts(size: int) -> None:
    relay = passing.Relay(ASKED)
    out = b"".join(relay.feed(WIRE[i : i + size]).events for i in range(0, len(WIRE), size))
    assert out == WIRE
    assert relay.finish() == StreamPiece(b"", done=True)
    assert (relay.usage, relay.finish_reason, relay.failure) == (Usage(1320, 55, 1000, 300, 12), "tool_calls", None)
    assert relay.chunks == 8
    assert relay.close() == b""


def seen(pieces: list[bytes]) -> tuple[list[tuple[bytes, Json]], Any]:
    relay = passing.Relay(ASKED)
    out = b"".join(relay.feed(piece).events for piece in pieces)
    assert relay.finish().done
    events = [(event.name, json.loads(event.data)) for event in EventReader().feed(out)]
    return events, (relay.usage, relay.finish_reason, relay.chunks)


@settings(max_examples=100)
@given(st.sampled_from([bytes, *WRITERS]), st.data())
def test_written_and_cut_otherwise_the_client_sees_the_same(
    write: Callable[[bytes], bytes], data: st.DataObject
) -> None:
    wire = write(WIRE)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=20)))
    pieces = [wire[start:end] for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True)]
    assert seen(pieces) == seen([WIRE])


def test_an_error_event_is_held_back() -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "secret-host"}}
    relay = passing.Relay(ASKED)
    out = relay.feed(sse([*anthropic.EVENTS[:9], error, *anthropic.EVENTS[9:]], named=True)).events
    assert out == sse(anthropic.EVENTS[:9], named=True)
    assert relay.failure is not None
    assert b"Busy." in relay.fail(Failure(529, "overloaded_error", "Busy."))
    cut = passing.Relay(ASKED)
    cut.feed(WIRE[:500])
    assert not cut.finish().done
    assert cut.failure is not None


def test_every_name_has_its_translator() -> None:
    assert [provider(style).style for style in get_args(Style)] == list(get_args(Style))
    assert [client(style).style for style in get_args(ClientStyle)] == list(get_args(ClientStyle))
    assert provider("azure", api_version="v").request({"messages": []}, "d").path.endswith("?api-version=v")


@pytest.mark.parametrize("style", ["anthropic", "gemini", "bedrock"])
def test_who_counts_and_who_completes(style: Style) -> None:
    assert counting(provider(style)).count_request({"messages": [{"role": "user", "content": "q"}]}, "m").body
    must_complete("openai")
    with pytest.raises(Untranslatable, match="only chats"):
        must_complete(style)
    with pytest.raises(Untranslatable, match="cannot count"):
        counting(provider("openai"))
