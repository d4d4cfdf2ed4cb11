"""However the network cuts a stream, whatever line ends and comments its server writes, the translation is the same."""

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.gateway.translate import test_anthropic_provider as anthropic
from tests.unit.gateway.translate import test_bedrock_provider as bedrock
from tests.unit.gateway.translate import test_gemini_provider as gemini
from tests.unit.gateway.translate import test_messages_client as messages
from tests.unit.gateway.translate.samples import ASKED, sse

from sluice_gateway.translate.anthropic.provider import Anthropic
from sluice_gateway.translate.bedrock.provider import Bedrock
from sluice_gateway.translate.chat.client import Chat
from sluice_gateway.translate.errors import BadAnswer, Untranslatable
from sluice_gateway.translate.events import MAX_EVENT, Event, EventReader, EventTooLong
from sluice_gateway.translate.gemini.provider import Gemini
from sluice_gateway.translate.messages.client import Messages
from sluice_gateway.translate.openai.provider import OpenAI
from sluice_gateway.translate.pairing import Pair
from sluice_gateway.translate.responses.client import Responses
from sluice_gateway.translate.shapes import Client, Provider

Json = dict[str, Any]
CLIENTS: dict[str, Client] = {"chat": Chat(), "messages": Messages(), "responses": Responses()}
PROVIDERS: dict[str, tuple[Provider, bytes]] = {
    "anthropic": (Anthropic(), sse(anthropic.EVENTS, named=True)),
    "gemini": (Gemini(), sse(gemini.EVENTS)),
    "bedrock": (Bedrock(), bedrock.WIRE),
    "openai": (OpenAI(), sse(messages.CHUNKS) + b"data: [DONE]\n\n"),
}


def translated(client: Client, provider: Provider, pieces: list[bytes]) -> tuple[bytes, Any]:
    stream = Pair(client, provider).stream(ASKED)
    out = b"".join(stream.feed(piece).events for piece in pieces) + stream.finish().events
    assert stream.failure is None
    return out + stream.close(), (stream.usage, stream.finish_reason, stream.chunks)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_cut_at_every_byte(provider: str) -> None:
    kind, wire = PROVIDERS[provider]
    expected = translated(CLIENTS["chat"], kind, [wire])
    for cut in range(1, len(wire)):
        assert translated(CLIENTS["chat"], kind, [wire[:cut], wire[cut:]]) == expected


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_byte_for_itself(client: str, provider: str) -> None:
    kind, wire = PROVIDERS[provider]
    pieces = [wire[i : i + 1] for i in range(len(wire))]
    assert translated(CLIENTS[client], kind, pieces) == translated(CLIENTS[client], kind, [wire])


def _crlf(wire: bytes) -> bytes:
    return wire.replace(b"\n", b"\r\n")


def _cr(wire: bytes) -> bytes:
    return wire.replace(b"\n", b"\r")


def _comments(wire: bytes) -> bytes:
    return b": hello\n\n" + wire.replace(b"data:", b": ping\nretry: 5\nid: 7\ndata:")


def _several_data_lines(wire: bytes) -> bytes:
    """Write each event's JSON over several lines, as a server may."""
    out = []
    for event in EventReader().feed(wire):
        name = b"event: " + event.name + b"\n" if event.name else b""
        text = event.data.decode()
        if text.startswith("{"):
            text = json.dumps(json.loads(text), indent=1)
        out.append(name + "".join(f"data:{line}\n" for line in text.split("\n")).encode() + b"\n")
    return b"".join(out)


def _marked(wire: bytes) -> bytes:
    return b"\xef\xbb\xbf" + wire


WRITERS: list[Callable[[bytes], bytes]] = [_crlf, _cr, _comments, _several_data_lines, _marked]


@pytest.mark.parametrize("provider", ["anthropic", "gemini", "openai"])
@pytest.mark.parametrize("write", WRITERS)
def test_written_otherwise_and_cut_at_every_byte(provider: str, write: Callable[[bytes], bytes]) -> None:
    kind, wire = PROVIDERS[provider]
    expected = translated(CLIENTS["chat"], kind, [wire])
    other = write(wire)
    for cut in range(0, len(other), 11):
        assert translated(CLIENTS["chat"], kind, [other[:cut], other[cut:]]) == expected
    assert translated(CLIENTS["chat"], kind, [other[i : i + 1] for i in range(len(other))]) == expected


@given(st.data())
def test_cut_anywhere_several_times(data: st.DataObject) -> None:
    kind, wire = PROVIDERS[data.draw(st.sampled_from(sorted(PROVIDERS)))]
    client = CLIENTS[data.draw(st.sampled_from(sorted(CLIENTS)))]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=12)))
    pieces = [wire[start:end] for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True)]
    assert translated(client, kind, pieces) == translated(client, kind, [wire])


@given(st.sampled_from(sorted(PROVIDERS)), st.data())
def test_a_stream_that_ends_early_never_looks_complete(name: str, data: st.DataObject) -> None:
    kind, wire = PROVIDERS[name]
    stream = kind.stream(ASKED)
    # a stream of chat completions and of Gemini is complete once its finish reason came
    cut = data.draw(st.integers(0, wire.rindex(b"tool_calls") if name == "openai" else _last(name, wire)))
    stream.feed(wire[:cut])
    stream.finish()
    assert not stream.done
    assert stream.failure is not None


def _last(name: str, wire: bytes) -> int:
    marks = {"anthropic": b"message_stop", "gemini": b"STOP", "bedrock": b"latencyMs"}
    return wire.rindex(marks[name])


@given(st.binary(max_size=400).filter(lambda junk: b"[DONE]" not in junk))
def test_bytes_of_any_kind_break_a_stream_and_nothing_else(junk: bytes) -> None:
    for kind, _ in PROVIDERS.values():
        stream = kind.stream(ASKED)
        stream.feed(junk)
        stream.finish()
        assert stream.failure is not None
        assert not stream.done


_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "index", "delta", "text", "content_block", "message", "usage", "error", "candidates", "content",
                 "parts", "choices", "functionCall", "finishReason", "tool_calls", "input_tokens", "stop_reason"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)  # fmt: skip


@given(st.lists(st.dictionaries(st.sampled_from(["type", "delta", "index", "content_block", "message", "candidates", "choices", "usage", "error"]), _JSON, max_size=5), max_size=4))  # fmt: skip
def test_json_of_any_shape_raises_nothing(events: list[Json]) -> None:
    wire = sse(events)
    for name in ("anthropic", "gemini", "openai"):
        kind, _ = PROVIDERS[name]
        for client in CLIENTS.values():
            stream = Pair(client, kind).stream(ASKED)
            stream.feed(wire)
            stream.finish()
            stream.close()


@given(_JSON.filter(lambda found: type(found) is dict))
def test_an_answer_of_any_shape_is_an_answer_or_a_failure(found: Json) -> None:
    for kind, _ in PROVIDERS.values():
        for client in CLIENTS.values():
            with suppress(BadAnswer):
                Pair(client, kind).answer(json.dumps(found).encode(), ASKED)


_NAMES = ["messages", "role", "content", "type", "text", "tools", "function", "name", "tool_calls", "input", "system", "output",
          "image_url", "url", "tool_choice", "response_format", "json_schema", "schema", "thinking", "reasoning_details", "source",
          "max_tokens", "model", "stop", "input_schema", "parameters", "summary", "arguments", "call_id", "id"]  # fmt: skip
_WORDS = [
    "user",
    "assistant",
    "tool",
    "system",
    "text",
    "image_url",
    "function",
    "json_schema",
    "auto",
    "tool_use",
    "x",
    "",
]
_REQUEST: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 3) | st.sampled_from(_WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_NAMES), inner, max_size=5),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(_NAMES), _REQUEST, max_size=7), _REQUEST)
def test_a_request_of_any_shape_is_translated_or_refused(fields: Json, messages: Any) -> None:
    for kind, _ in PROVIDERS.values():
        for client in CLIENTS.values():
            for given_fields in (fields, {"max_tokens": 5, "messages": messages}, {"input": messages}):
                with suppress(Untranslatable):
                    Pair(client, kind).request(given_fields, "gpt-5")


def test_the_readers_rules() -> None:
    reader = EventReader()
    assert reader.feed(b"event: a\ndata: 1\ndata\ndata:  2\nother: x\n\nevent: b\n\ndata:3\r\n\r\n") == [
        Event(b"a", b"1\n\n 2"),
        Event(b"", b"3"),
    ]
    assert reader.feed(b"data: last\n") == []
    assert reader.finish() == [Event(b"", b"last")]
    with pytest.raises(EventTooLong):
        EventReader().feed(b"x" * (MAX_EVENT + 1))
