"""Responses that pass as they come: what is billed, what is changed, and what a broken stream is."""

import json
from typing import Any

import pytest
from openai.types.responses import ResponseCompletedEvent

from sluice_gateway.translate.responses import passing
from sluice_gateway.translate.shapes import Usage

USAGE = {
    "input_tokens": 9,
    "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
    "output_tokens": 3,
    "output_tokens_details": {"reasoning_tokens": 1},
    "total_tokens": 12,
}
RESPONSE: dict[str, Any] = {
    "id": "resp_1", "object": "response", "created_at": 1, "model": "m", "status": "completed", "output": [],
    "parallel_tool_calls": True, "tool_choice": "auto", "tools": [{"type": "web_search"}], "usage": USAGE,
}  # fmt: skip


def event(name: str, **fields: Any) -> bytes:
    return f"event: {name}\ndata: {json.dumps({'type': name, **fields})}\n\n".encode()


def stream(end: bytes) -> bytes:
    delta = {"item_id": "i", "output_index": 0, "content_index": 0, "sequence_number": 2, "logprobs": []}
    return (
        event("response.created", response={**RESPONSE, "status": "in_progress"}, sequence_number=0)
        + event("response.web_search_call.searching", output_index=0, item_id="ws", sequence_number=1)
        + event("response.output_text.delta", delta="A ", **delta)
        + event("response.output_text.delta", delta="fox", **delta)
        + end
    )


COMPLETED = event("response.completed", response=RESPONSE, sequence_number=4)


def test_the_bytes_pass_unless_the_model_has_another_name() -> None:
    raw = b'{"model":  "m", "input": "x", "store": false, "tools": [{"type": "web_search"}]}'
    fields = json.loads(raw)
    assert passing.request(raw, fields, "m").body == raw
    renamed = passing.request(raw, fields | {"sluice": {}}, "other")
    assert (renamed.path, json.loads(renamed.body)) == ("/responses", fields | {"model": "other"})


@pytest.mark.parametrize("said", [{}, {"store": True}, {"store": None}])
def test_the_server_is_told_to_keep_nothing(said: dict[str, Any]) -> None:
    fields = {"model": "m", "input": "x", **said}
    assert json.loads(passing.request(json.dumps(fields).encode(), fields, "m").body) == fields | {"store": False}


@pytest.mark.parametrize("size", [1, 2, 7, 64, 10_000])
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_a_stream_passes_whatever_the_cuts_and_its_end_tells_its_cost(size: int, line_end: bytes) -> None:
    relay = passing.Relay(lambda: 0.25)
    data = stream(COMPLETED).replace(b"\n", line_end)
    pieces = [relay.feed(data[at : at + size]) for at in range(0, len(data), size)]
    out = b"".join(piece.events for piece in pieces)
    assert pieces[-1].done
    assert out.startswith(stream(b""))
    last = json.loads(out.split(b"data: ")[-1])
    assert last["response"]["usage"] == USAGE | {"sluice": {"cost_usd": 0.25}}
    assert ResponseCompletedEvent.model_validate(last).response.usage is not None
    assert (relay.usage, relay.chunks, relay.failure) == (Usage(9, 3, 4, 0, 1), 2, None)


def test_a_stream_nobody_asks_the_cost_of_passes_byte_by_byte() -> None:
    relay = passing.Relay()
    assert relay.feed(stream(COMPLETED)).events == stream(COMPLETED)
    incomplete = passing.Relay()
    end = event("response.incomplete", response={**RESPONSE, "status": "incomplete"})
    assert incomplete.feed(stream(end)).done
    assert incomplete.finish_reason == "length"


@pytest.mark.parametrize(
    "end",
    [
        b"",
        event("response.failed", response={**RESPONSE, "error": {"message": "secret-host:9000 ran out of memory"}}),
        event("error", message="secret-host:9000 ran out of memory"),
        b"event: response.completed\ndata: {\n\n",
        b"event: response.completed\ndata: []\n\n",
    ],
)
def test_a_stream_that_breaks_is_a_failure_and_none_of_the_servers_words_pass(end: bytes) -> None:
    relay = passing.Relay(lambda: 0.25)
    out = relay.feed(stream(end)).events + relay.finish().events
    assert relay.failure is not None
    assert b"secret-host" not in out
    assert out == stream(b"")


@pytest.mark.parametrize("usage", [None, [], {}, {"input_tokens": "nine"}, {"input_tokens": 9.5}])
def test_counts_that_make_no_sense_are_none(usage: Any) -> None:
    assert passing.usage_of({"usage": usage}) is None
