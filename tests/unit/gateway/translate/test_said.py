"""What a provider of chat completions says beyond words and calls of functions, as clients of other APIs read it."""

from typing import Any

import pytest
from openai.types.responses import Response
from tests.unit.gateway.translate.samples import ASKED, sse
from tests.unit.gateway.translate.sdks import message_from

from sluice_gateway.translate.hub import chunk
from sluice_gateway.translate.messages.client import Messages
from sluice_gateway.translate.openai.provider import OpenAI
from sluice_gateway.translate.pairing import Pair
from sluice_gateway.translate.responses.client import Responses

Json = dict[str, Any]
CALLED = {"name": "weather", "arguments": '{"city": "Oslo"}'}
CUSTOM = {"id": "call_7", "type": "custom", "custom": {"name": "shell", "input": 'ls "a"\n'}}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0="}}
LINKED = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
SPOKEN = {"id": "audio_1", "data": "UklGRg==", "expires_at": 9, "transcript": "Hello there."}


def whole(message: Json, finish: str = "stop") -> list[Json]:
    found = {"choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}]}
    blocks: list[Json] = Messages().answer(found, ASKED)["content"]
    return blocks


def streamed(*deltas: Json, finish: str = "stop") -> tuple[list[Json], str | None]:
    stream = Pair(Messages(), OpenAI()).stream(ASKED)
    chunks = [*(chunk(ASKED, delta) for delta in deltas), chunk(ASKED, {}, finish)]  # type: ignore[arg-type] # as servers do
    wire = stream.feed(sse(chunks) + b"data: [DONE]\n\n").events + stream.close()
    message = message_from(wire)
    return [block.model_dump(exclude_none=True) for block in message.content], message.stop_reason


def test_a_legacy_function_call_is_a_use_of_a_tool() -> None:
    (block,) = whole({"content": None, "function_call": CALLED}, "function_call")
    assert (block["type"], block["name"], block["input"]) == ("tool_use", "weather", {"city": "Oslo"})
    assert block["id"]
    pieces = [{"function_call": {"name": "weather", "arguments": ""}}]
    pieces += [{"function_call": {"arguments": part}} for part in ('{"city"', ': "Oslo"}')]
    (block,), stop = streamed(*pieces, finish="function_call")
    assert (block["type"], block["name"], block["input"], stop) == ("tool_use", "weather", {"city": "Oslo"}, "tool_use")


def test_a_function_call_beside_the_same_as_tool_call_is_told_once() -> None:
    calls = [{"index": 0, "id": "call_1", "type": "function", "function": CALLED}]
    assert len(whole({"tool_calls": calls, "function_call": CALLED})) == 1
    blocks, _ = streamed({"tool_calls": calls, "function_call": CALLED})
    assert len(blocks) == 1


def test_a_call_of_a_custom_tool_is_a_use_with_its_text_as_input() -> None:
    call = {"index": 0, "id": "call_1", "type": "function", "function": CALLED}
    first, second = whole({"content": "", "tool_calls": [call, CUSTOM]}, "tool_calls")
    assert first["input"] == {"city": "Oslo"}
    assert second == {"type": "tool_use", "id": "call_7", "name": "shell", "input": {"input": 'ls "a"\n'}}
    pieces = [{**CUSTOM, "index": 1, "custom": {"name": "shell", "input": ""}}]
    pieces += [{"index": 1, "custom": {"input": part}} for part in ("ls ", '"a"\n')]
    blocks, stop = streamed({"tool_calls": [call]}, *({"tool_calls": [piece]} for piece in pieces), finish="tool_calls")
    assert [block["input"] for block in blocks] == [{"city": "Oslo"}, {"input": 'ls "a"\n'}]
    assert (blocks[1]["id"], blocks[1]["name"], stop) == ("call_7", "shell", "tool_use")


def test_of_sound_its_transcript_is_told() -> None:
    assert whole({"content": None, "audio": SPOKEN}) == [{"type": "text", "text": "Hello there."}]
    pieces = [{"id": "audio_1"}, {"transcript": "Hello "}, {"data": "Ukl"}, {"transcript": "there."}, {"data": "GRg=="}]
    blocks, _ = streamed(*({"audio": piece} for piece in pieces))
    assert blocks == [{"type": "text", "text": "Hello there."}]


@pytest.mark.parametrize(
    "piece", [{"audio": {"data": "UklGRg=="}}, {"content": [{"type": "audio", "audio": {"data": "U"}}]}]
)
def test_sound_without_a_transcript_is_told_once(piece: Json) -> None:
    (block,) = whole(piece)
    assert "spoke, and there is no transcript" in block["text"]
    assert "/v1/chat/completions" in block["text"]
    blocks, _ = streamed(piece, piece)
    assert blocks == [block]


def test_an_image_is_told_and_an_address_given() -> None:
    for message in (
        {"content": "Here.", "images": [IMAGE, LINKED]},
        {"content": [{"type": "text", "text": "Here."}, IMAGE, LINKED]},
    ):
        (block,) = whole(message)
        first, second, third = block["text"].split("\n\n")
        assert (first, third) == ("Here.", "![image](https://example.com/a.png)")
        assert "made an image, which this API cannot carry" in second
        blocks, _ = streamed(message)
        assert blocks == [block]


def test_odd_shapes_are_passed_over() -> None:
    odd: Json = {"content": "x", "images": 3, "audio": [], "function_call": "f", "tool_calls": None}
    assert whole(odd) == [{"type": "text", "text": "x"}]
    assert streamed(odd)[0] == [{"type": "text", "text": "x"}]
    odd = {"content": [3, {"type": "image_url"}], "images": [{"image_url": 3}]}
    assert whole(odd)[0]["text"].count("made an image") == 2


def test_responses_tell_the_same() -> None:
    message = {"content": None, "function_call": CALLED, "audio": SPOKEN, "images": [IMAGE]}
    found = {"choices": [{"index": 0, "message": message, "finish_reason": "function_call"}]}
    response = Response.model_validate(Responses().answer(found, ASKED))
    said, call = response.output
    assert said.type == "message"
    assert said.content[0].text.startswith("Hello there.\n\n[The model made an image")  # type: ignore[union-attr] # text
    assert (call.type, call.name, call.arguments) == ("function_call", "weather", CALLED["arguments"])  # type: ignore[union-attr] # a call
    stream = Pair(Responses(), OpenAI()).stream(ASKED)
    wire = stream.feed(
        sse([chunk(ASKED, {"tool_calls": [CUSTOM]}), chunk(ASKED, {}, "tool_calls")]) + b"data: [DONE]\n\n"
    )
    assert rb'"arguments":"{\"input\":\"ls \\\"a\\\"\\n\"}"' in wire.events + stream.close()
