"""Images and speech with the official client: what passes, what is billed, and what is refused."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import openai
import pytest
from gateway_parts import POISON, SECRET, Parts, Served, deployment, model, serving, snapshot
from media_provider import IMAGE_USAGE, PICTURE, SOUND, SPEECH_USAGE, SUBTITLES, MediaProvider, parts_of
from openai_provider import Behaviour

from sluice.contracts.routing import Policy
from sluice.errors import DependencyUnavailable
from sluice_gateway.dataplane.deps import Options
from sluice_gateway.domain.limits import LevelLimits
from sluice_gateway.domain.ports import KeyRecord

pytestmark = pytest.mark.integration

IMAGE_PRICE = {"input": 5.0, "output": 40.0, "image_input": 10.0}
POLICIES = (
    Policy(name="checked", guard_input="enforce"),
    Policy(name="closed", guard_output="enforce"),
    Policy(name="open", guard_output="enforce", on_guard_error="open"),
    Policy(name="both-open", guard_input="enforce", guard_output="enforce", on_guard_error="open"),
)


class World:
    """A gateway with models of images and speech, and the client that asks it."""

    def __init__(
        self, served: Served, provider: MediaProvider, api: openai.AsyncOpenAI, http: httpx.AsyncClient
    ) -> None:
        self.served, self.provider, self.api, self.http = served, provider, api, http

    @property
    def row(self) -> Any:
        """The last usage record."""
        return self.served.parts.usage.events[-1]


@asynccontextmanager
async def world(parts: Parts | None = None) -> AsyncIterator[World]:
    async with MediaProvider() as provider:
        place = deployment("d1", provider.base_url, upstream_model="gpt-image-1")
        voice = deployment("d2", provider.base_url, upstream_model="tts-1")
        routing = snapshot(
            model("image", place, kind="image", price=IMAGE_PRICE),
            model("dall-e", place, kind="image", price={"image": 0.04}),
            *(model(f"image-{one.name}", place, kind="image", policy=one.name) for one in POLICIES),
            model("voice", voice, kind="speech", price={"characters": 15.0}),
            model("abroad", place.model_copy(update={"region": "us"}), kind="image"),
            model("first", deployment("d3", "http://127.0.0.1:9/v1"), kind="speech", fallbacks=("voice",)),
            model("chat", place),
            model(
                "ears",
                deployment("d4", provider.base_url, upstream_model="whisper-1"),
                kind="transcription",
                price={"input": 1.0, "audio_input": 6.0, "output": 5.0, "minute": 0.006},
            ),
            model("ears-checked", voice, kind="transcription", policy="checked"),
            model("ears-open", voice, kind="transcription", policy="both-open"),
            *(model(f"eyes-{name}", place, policy=name) for name in ("checked", "both-open")),
            model("twice", *(deployment(name, provider.base_url) for name in ("d5", "d6")), kind="transcription"),
            policies=POLICIES,
        )
        async with (
            serving(parts or Parts(), routing) as served,
            openai.AsyncOpenAI(base_url=f"{served.url}/v1", api_key="sk-test", max_retries=0) as api,
            httpx.AsyncClient(base_url=served.url, headers={"authorization": "Bearer sk-test"}, timeout=60) as http,
        ):
            yield World(served, provider, api, http)


def looking_at(model_name: str, text: str) -> dict[str, Any]:
    parts = [{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]
    return {"model": model_name, "messages": [{"role": "user", "content": parts}]}


async def test_an_image_is_made_and_billed_by_its_tokens() -> None:
    async with world() as on:
        answer = await on.api.images.with_raw_response.generate(model="image", prompt="a fox", size="1024x1024")
        assert answer.parse().data[0].b64_json == PICTURE
        assert on.provider.seen[0].json == {"model": "gpt-image-1", "prompt": "a fox", "size": "1024x1024"}
        row = on.row
        assert (row.endpoint, row.status, row.tokens_exact) == ("/v1/images/generations", "ok", True)
        assert (row.prompt_tokens, row.completion_tokens) == (14, 1056)
        assert row.token_details[3] == 4, "tokens of images in the prompt"
        assert row.cost_usd == pytest.approx((14 * 5 + 4 * 5 + 1056 * 40) / 1e6)
        assert float(answer.headers["x-sluice-cost"]) == pytest.approx(row.cost_usd)


async def test_a_price_for_each_image_counts_those_that_came() -> None:
    async with world() as on:
        on.provider.default = Behaviour(usage=False)
        await on.api.images.generate(model="dall-e", prompt="a fox", n=3)
        assert on.row.cost_usd == pytest.approx(0.12)


async def test_an_image_stream_passes_event_by_event_with_its_cost() -> None:
    async with world() as on:
        stream = await on.api.images.generate(model="image", prompt="a fox", stream=True, partial_images=1)
        events = [event async for event in stream]
        assert [event.type for event in events] == ["image_generation.partial_image", "image_generation.completed"]
        assert events[-1].usage.input_tokens == IMAGE_USAGE["input_tokens"]
        assert events[-1].usage.model_extra["sluice"]["cost_usd"] == pytest.approx(on.row.cost_usd)
        assert on.provider.seen[0].json["stream"] is True
        assert "stream_options" not in on.provider.seen[0].json


async def test_speech_passes_as_it_comes_and_is_billed_by_its_characters() -> None:
    async with world() as on:
        async with on.api.audio.speech.with_streaming_response.create(
            model="voice", voice="alloy", input="Grüß dich, fox"
        ) as answer:
            assert answer.headers["content-type"] == "audio/mpeg"
            assert await answer.read() == SOUND
        assert on.provider.seen[0].json["model"] == "tts-1"
        assert (on.row.endpoint, on.row.status) == ("/v1/audio/speech", "ok")
        assert on.row.cost_usd == pytest.approx(14 * 15 / 1e6)


async def test_speech_as_events_brings_its_counts() -> None:
    async with world() as on:
        fields = {"model": "voice", "voice": "alloy", "input": "fox", "stream_format": "sse"}
        answer = await on.http.post("/v1/audio/speech", json=fields)
        assert answer.headers["content-type"].startswith("text/event-stream")
        last = json.loads(answer.text.strip().rsplit("data: ", 1)[1])
        assert last["type"] == "speech.audio.done"
        assert (on.row.prompt_tokens, on.row.completion_tokens) == (14, SPEECH_USAGE["output_tokens"])
        assert last["usage"]["sluice"]["cost_usd"] == pytest.approx(on.row.cost_usd)


async def test_speech_that_breaks_off_breaks_the_connection_and_is_billed() -> None:
    async with world() as on:
        on.provider.default = Behaviour(cut_after=3)
        with pytest.raises(httpx.RemoteProtocolError):
            await on.http.post("/v1/audio/speech", json={"model": "voice", "voice": "alloy", "input": "fox"})
        assert (on.row.status, on.row.error_code) == ("error", "stream_interrupted")
        assert on.row.cost_usd == pytest.approx(3 * 15 / 1e6)


async def test_another_model_takes_over_before_the_first_byte() -> None:
    async with world() as on:
        answer = await on.http.post("/v1/audio/speech", json={"model": "first", "voice": "alloy", "input": "fox"})
        assert answer.content == SOUND
        assert answer.headers["x-sluice-model"] == "voice"


@pytest.mark.parametrize(
    ("path", "fields", "code", "param"),
    [
        ("images/generations", {"model": "chat", "prompt": "x"}, "model_not_supported", "model"),
        ("audio/speech", {"model": "image", "input": "x"}, "model_not_supported", "model"),
        ("chat/completions", {"model": "voice", "messages": [{"role": "user", "content": "x"}]}, "model_not_supported", "model"),
        ("images/generations", {"model": "image"}, "invalid_value", "prompt"),
        ("images/generations", {"model": "image", "prompt": "x", "n": 0}, "invalid_value", "n"),
        ("audio/speech", {"model": "voice", "input": ["x"]}, "invalid_value", "input"),
        ("images/generations", {"model": "image-closed", "prompt": "x"}, "unsupported_content", None),
        ("images/generations", {"model": "image-checked", "prompt": POISON}, "content_filter", None),
    ],
)  # fmt: skip
async def test_what_cannot_be_done_is_a_clear_400(
    path: str, fields: dict[str, Any], code: str, param: str | None
) -> None:
    async with world() as on:
        answer = await on.http.post(f"/v1/{path}", json=fields)
        assert answer.status_code == 400
        error = answer.json()["error"]
        assert (error["code"], error["param"]) == (code, param)
        assert not on.provider.seen


async def test_a_prompt_is_guarded_and_an_open_policy_lets_unread_answers_pass() -> None:
    async with world() as on:
        answer = await on.http.post("/v1/images/generations", json={"model": "image-checked", "prompt": f"to {SECRET}"})
        assert answer.headers["x-sluice-guard"] == "redacted"
        assert on.provider.seen[0].json["prompt"] == "to [EMAIL]"
        answer = await on.http.post("/v1/images/generations", json={"model": "image-open", "prompt": "x"})
        assert (answer.status_code, answer.headers["x-sluice-guard"]) == (200, "unchecked")
        sound = {"file": ("a.wav", b"RIFF")}
        heard = await on.http.post("/v1/audio/transcriptions", data={"model": "ears-open"}, files=sound)
        assert (heard.status_code, heard.headers["x-sluice-guard"]) == (200, "unchecked")
        assert on.row.guard_issues == ("unchecked",)
        seen = await on.http.post("/v1/chat/completions", json=looking_at("eyes-both-open", "to " + SECRET))
        assert (seen.status_code, seen.headers["x-sluice-guard"]) == (200, "unchecked")
        assert on.provider.seen[-1].json["messages"][0]["content"][0]["text"] == "to [EMAIL]"
        closed = await on.http.post("/v1/chat/completions", json=looking_at("eyes-checked", "x"))
        assert (closed.status_code, closed.json()["error"]["code"]) == (400, "unsupported_content")
        assert "sluice_gateway_unchecked_requests_total 3.0" in on.served.parts.registry.render()[0].decode()
        on.served.parts.guard.failing = DependencyUnavailable("away")
        answer = await on.http.post("/v1/images/generations", json={"model": "image-checked", "prompt": "x"})
        assert answer.status_code == 503


async def test_budgets_and_regions_hold() -> None:
    parts = Parts()
    limits = LevelLimits("key", "key_1", None, None, None, 0.1, None)
    parts.keys.known[b"Bearer sk-test"] = KeyRecord("key_1", "t", "k", limits=(limits,), regions=frozenset({"eu"}))
    async with world(parts) as on:
        answer = await on.http.post("/v1/images/generations", json={"model": "abroad", "prompt": "x"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "region_not_allowed")
        answer = await on.http.post("/v1/images/generations", json={"model": "dall-e", "prompt": "x", "n": 3})
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, "insufficient_quota")
        assert not on.provider.seen


@pytest.mark.parametrize("size", [3_000, 3_000_000], ids=["memory", "file"])
async def test_a_recording_is_sent_on_byte_by_byte_and_billed_by_its_counts(size: int) -> None:
    recording = bytes(range(256)) * (size // 256) + b"\r\n--\r\n"
    async with world() as on:
        answer = await on.api.audio.transcriptions.create(
            model="ears", file=("fox.mp3", recording), prompt="Grüße", timestamp_granularities=["word", "segment"]
        )
        assert answer.text == "The fox"
        parts = parts_of(on.provider.seen[0])
        assert parts["file:fox.mp3"] == recording
        assert (parts["model"], parts["prompt"].decode()) == (b"whisper-1", "Grüße")
        assert on.provider.seen[0].body.count(b'name="timestamp_granularities[]"') == 2
        row = on.row
        assert (row.endpoint, row.prompt_tokens, row.completion_tokens) == ("/v1/audio/transcriptions", 20, 4)
        assert row.token_details[2] == 18, "tokens of sound"
        assert row.cost_usd == pytest.approx((2 * 1 + 18 * 6 + 4 * 5) / 1e6)
        on.provider.default = Behaviour(usage=False)
        with pytest.warns(DeprecationWarning, match="deprecated"):  # of the client, which warns of this path
            await on.api.audio.translations.create(model="ears", file=("fox.mp3", recording))
        assert on.row.cost_usd == pytest.approx(0.009, abs=1e-4), "90 seconds at a price for each minute"


async def test_subtitles_and_streams_of_transcripts_pass_as_they_come() -> None:
    async with world() as on:
        form = {"model": "ears", "response_format": "srt"}
        answer = await on.http.post("/v1/audio/transcriptions", data=form, files={"file": ("a.wav", b"RIFF")})
        assert (answer.text, answer.headers["content-type"]) == (SUBTITLES, "text/plain; charset=utf-8")
        stream = await on.api.audio.transcriptions.create(model="ears", file=("a.wav", b"RIFF"), stream=True)
        events = [event async for event in stream]
        assert [event.type for event in events] == ["transcript.text.delta", "transcript.text.done"]
        assert (on.row.prompt_tokens, on.row.completion_tokens) == (20, 4)


async def test_a_picture_is_edited_and_varied() -> None:
    async with world() as on:
        await on.api.images.edit(model="image", image=[("a.png", b"one"), ("b.png", b"two")], prompt="a hat")
        parts = parts_of(on.provider.seen[0])
        assert (parts["model"], parts["image[]:a.png"], parts["image[]:b.png"]) == (b"gpt-image-1", b"one", b"two")
        assert on.row.cost_usd == pytest.approx((14 * 5 + 4 * 5 + 1056 * 40) / 1e6)
        with pytest.warns(DeprecationWarning, match="deprecated"):  # of the client, which warns of this path
            await on.api.images.create_variation(model="dall-e", image=("a.png", b"one"))
        assert on.row.cost_usd == pytest.approx(0.04)


@pytest.mark.parametrize("count", ["0", "129", "1000", "-1", "\u00b2", "two", ""])
async def test_a_form_asks_for_a_number_of_images_that_can_be_reserved(count: str) -> None:
    async with world() as on:
        form = {"model": "image", "prompt": "a hat", "n": count}
        answer = await on.http.post("/v1/images/edits", data=form, files={"image": ("a.png", b"one")})
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "n")
        assert not on.provider.seen


async def test_a_form_is_sent_again_to_the_next_deployment() -> None:
    async with world() as on:
        on.provider.next(Behaviour(status=500))
        answer = await on.api.audio.transcriptions.with_raw_response.create(
            model="twice", file=("a.wav", b"RIFF" * 500_000)
        )
        assert answer.headers["x-sluice-attempts"] == "2"
        assert [parts_of(seen)["file:a.wav"] for seen in on.provider.seen] == [b"RIFF" * 500_000] * 2


@pytest.mark.parametrize(
    ("model_name", "content_type", "body", "status", "code"),
    [
        ("ears", "application/json", b"{}", 415, "unsupported_media_type"),
        (
            "ears",
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n',
            400,
            "invalid_form",
        ),
        ("ears", "multipart/form-data; boundary=b", b"nonsense", 400, "invalid_form"),
        ("ears", "multipart/form-data; boundary=b", b"x" * 70_000, 413, "request_too_large"),
    ],
)
async def test_forms_that_cannot_be_read(
    model_name: str, content_type: str, body: bytes, status: int, code: str
) -> None:
    async with world(Parts(options=Options(max_form_bytes=60_000))) as on:
        answer = await on.http.post("/v1/audio/transcriptions", content=body, headers={"content-type": content_type})
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
        form = {"model": "chat"}
        wrong = await on.http.post("/v1/audio/transcriptions", data=form, files={"file": ("a", b"x")})
        assert (wrong.status_code, wrong.json()["error"]["code"]) == (400, "model_not_supported")
        none = await on.http.post("/v1/audio/transcriptions", files={"file": ("a", b"x")})
        assert (none.status_code, none.json()["error"]["param"]) == (400, "model")
        sound = {"file": ("a", b"x")}
        closed = await on.http.post("/v1/audio/transcriptions", data={"model": "ears-checked"}, files=sound)
        assert (closed.status_code, closed.json()["error"]["code"]) == (400, "unsupported_content")
        assert not on.provider.seen
