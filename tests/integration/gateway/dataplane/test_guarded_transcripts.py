"""What was heard in a recording goes through the output guard in every form in which it is told, behind the real guardrail."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from gateway_parts import Parts, Served, deployment, model, serving, snapshot
from guarded_gateway import guarded_gateway
from media_provider import SOUND, SUBTITLES, TRANSCRIPT_USAGE, MediaProvider
from openai.types.audio import TranscriptionVerbose
from openai_provider import Behaviour

from sluice.contracts.routing import Policy
from sluice.errors import DependencyUnavailable

pytestmark = pytest.mark.integration

HEARD, TRANSLATED = "/v1/audio/transcriptions", "/v1/audio/translations"
RULES = """
version: 1
policies:
  default: {}
  strict: {output: {pii: {action: block}}}
"""
POLICIES = (
    Policy(name="guarded", guard_output="enforce"),
    Policy(name="strict", guard_output="enforce", guard_policy="strict"),
    Policy(name="watched", guard_output="observe"),
    Policy(name="open", guard_output="enforce", on_guard_error="open"),
)
MAIL = "ada@example.org"
SAID = f" Write to {MAIL}, and pay with 4111 1111"
THEN = " 1111 1111 tomorrow."
SRT = f"1\r\n00:00:00,000 --> 00:00:02,500\r\nWrite to {MAIL}, and pay\r\nwith 4111 1111\r\n\r\n2\r\n00:00:02,500 --> 00:00:04,000\r\n1111 1111\r\n\r\n3\r\n00:00:04,000 --> 00:00:05,000\r\ntomorrow.\r\n"
VTT = f"WEBVTT\n\n00:00.000 --> 00:02.500 align:start\nWrite to {MAIL}, and pay with 4111 1111\n\n00:02.500 --> 00:04.000\n1111 1111 tomorrow.\n"
VERBOSE = {
    "task": "transcribe",
    "language": "english",
    "duration": 4.0,
    "text": (SAID + THEN).strip(),
    "segments": [
        {"id": 0, "seek": 0, "start": 0.0, "end": 2.5, "text": SAID, "tokens": [50364, 11], "temperature": 0.0, "avg_logprob": -0.1, "compression_ratio": 1.0, "no_speech_prob": 0.0},
        {"id": 1, "seek": 0, "start": 2.5, "end": 4.0, "text": THEN, "tokens": [50365], "temperature": 0.0, "avg_logprob": -0.1, "compression_ratio": 1.0, "no_speech_prob": 0.0},
    ],
    "words": [
        {"word": word, "start": at / 2, "end": at / 2 + 0.5}
        for at, word in enumerate(f"Write to {MAIL} and pay with 4111 1111 1111 1111 tomorrow".split())
    ],
    "usage": {"type": "duration", "seconds": 4},
}  # fmt: skip


@dataclass
class World:
    """A gateway with one model for each policy, and the provider that hears."""

    served: Served
    provider: MediaProvider
    http: httpx.AsyncClient
    api: openai.AsyncOpenAI

    async def hear(
        self, name: str, body: Any, path: str = HEARD, kind: str = "application/json", **form: str
    ) -> httpx.Response:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.provider.next(Behaviour(body=raw, content_type=kind))
        data = {"model": name, **form}
        return await self.http.post(path, data=data, files={"file": ("a.wav", b"RIFF")})

    async def stream(
        self, name: str, *events: dict[str, Any], done: bool = False, names: bool = False
    ) -> httpx.Response:
        written = "".join(
            (f"event: {one['type']}\n" if names else "") + f"data: {json.dumps(one)}\n\n" for one in events
        )
        body = (written + ("data: [DONE]\n\n" if done else "")).encode()
        return await self.hear(name, body, kind="text/event-stream", stream="true")


def routing(provider: MediaProvider) -> Any:
    place = deployment("d1", provider.base_url, upstream_model="whisper-1")
    price = {"input": 1.0, "audio_input": 6.0, "output": 5.0, "minute": 0.006}
    ears = [model(one.name, place, kind="transcription", policy=one.name, price=price) for one in POLICIES]
    voices = [model(f"voice-{one.name}", place, kind="speech", policy=one.name) for one in POLICIES]
    painters = [model(f"image-{one.name}", place, kind="image", policy=one.name) for one in POLICIES]
    return snapshot(*ears, *voices, *painters, policies=POLICIES)


@asynccontextmanager
async def asking(served: Served, provider: MediaProvider) -> AsyncIterator[World]:
    async with (
        httpx.AsyncClient(base_url=served.url, headers={"authorization": "Bearer sk-test"}, timeout=60) as http,
        openai.AsyncOpenAI(base_url=f"{served.url}/v1", api_key="sk-test", max_retries=0) as api,
    ):
        yield World(served, provider, http, api)


@asynccontextmanager
async def world(folder: Path) -> AsyncIterator[World]:
    async with (
        MediaProvider() as provider,
        guarded_gateway(folder, RULES, routing(provider)) as served,
        asking(served, provider) as on,
    ):
        yield on


def events_of(answer: httpx.Response) -> list[dict[str, Any]]:
    lines = [line[6:] for line in answer.text.splitlines() if line.startswith("data: {")]
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("path", [HEARD, TRANSLATED])
async def test_a_text_is_redacted_and_the_rest_of_the_answer_stays(tmp_path: Path, path: str) -> None:
    async with world(tmp_path) as on:
        body = {"text": f"Write to {MAIL}.", "logprobs": [{"token": MAIL, "logprob": -0.1}], "usage": TRANSCRIPT_USAGE}
        answer = await on.hear("guarded", body, path)
        assert answer.json() == {"text": "Write to [EMAIL].", "usage": TRANSCRIPT_USAGE}
        assert answer.headers["x-sluice-guard"] == "redacted"
        row = on.served.parts.usage.events[-1]
        assert (row.status, row.guard_issues, row.prompt_tokens) == ("ok", ("pii_detected", "content_filtered"), 20)
        harmless = b'{"text":  "The fox.", "logprobs": [] }'
        answer = await on.hear("guarded", harmless, path)
        assert (answer.content, answer.headers["x-sluice-guard"]) == (harmless, "passed")
        assert len(on.provider.seen) == 2, "each recording is sent on once"


async def test_text_segments_and_words_agree(tmp_path: Path) -> None:
    async with world(tmp_path) as on:
        answer = await on.hear("guarded", VERBOSE, response_format="verbose_json")
        shown = answer.json()
        assert shown["text"] == "Write to [EMAIL], and pay with [CREDIT_CARD] tomorrow."
        assert [one["text"] for one in shown["segments"]] == [
            " Write to [EMAIL], and pay with [CREDIT_CARD]",
            " tomorrow.",
        ]
        words = [one["word"] for one in shown["words"]]
        assert words == ["Write", "to", "[EMAIL]", "and", "pay", "with", *["[CREDIT_CARD]"] * 4, "tomorrow"]
        assert all(one["tokens"] == [] for one in shown["segments"])
        times = [(one["start"], one["end"]) for one in (*shown["segments"], *shown["words"])]
        assert times == [(one["start"], one["end"]) for one in (*VERBOSE["segments"], *VERBOSE["words"])]  # type: ignore[misc] # lists of dictionaries
        TranscriptionVerbose.model_validate(shown)


async def test_who_speaks_stays_and_what_he_is_called_is_checked(tmp_path: Path) -> None:
    async with world(tmp_path) as on:
        said = [("A", f"Write to {MAIL}."), (MAIL, "Yes."), ("A", "Good.")]
        segments = [
            {
                "type": "transcript.text.segment",
                "id": f"seg_{at}",
                "start": at,
                "end": at + 1,
                "speaker": who,
                "text": text,
            }
            for at, (who, text) in enumerate(said)
        ]
        body = {"task": "transcribe", "duration": 3, "text": " ".join(text for _, text in said), "segments": segments}
        shown = (await on.hear("guarded", body, response_format="diarized_json")).json()
        told = [(one["speaker"], one["text"]) for one in shown["segments"]]
        assert told == [("A", "Write to [EMAIL]."), ("[EMAIL]", "Yes."), ("A", "Good.")]
        assert shown["text"] == "Write to [EMAIL]. Yes. Good."


@pytest.mark.parametrize(
    ("subtitles", "kind", "expected"),
    [
        (SRT, "text/plain; charset=utf-8", SRT.replace(MAIL, "[EMAIL]").replace("4111 1111", "[CREDIT_CARD]").replace("1111 1111", "[CREDIT_CARD]")),
        (VTT, "text/vtt", VTT.replace(MAIL, "[EMAIL]").replace("4111 1111", "[CREDIT_CARD]").replace("1111 1111 ", " ")),
        (f"Write to {MAIL}\n", "text/plain", "Write to [EMAIL]\n"),
        (SUBTITLES, "application/x-subrip", SUBTITLES),
    ],
    ids=["srt", "vtt", "text", "harmless"],
)  # fmt: skip
async def test_subtitles_keep_their_times(tmp_path: Path, subtitles: str, kind: str, expected: str) -> None:
    async with world(tmp_path) as on:
        answer = await on.hear("guarded", subtitles.encode(), kind=kind, response_format="srt")
        assert answer.text == expected
        assert answer.headers["content-type"] == kind
        assert answer.headers["x-sluice-guard"] == ("passed" if expected == subtitles else "redacted")


@pytest.mark.parametrize("form", ["json", "srt"])
async def test_what_the_policy_blocks_is_an_error_and_is_billed(tmp_path: Path, form: str) -> None:
    async with world(tmp_path) as on:
        whole: Any = VERBOSE if form == "json" else SRT.encode()
        kind = "application/json" if form == "json" else "text/plain"
        answer = await on.hear("strict", whole, kind=kind)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "content_filter")
        assert answer.headers["x-sluice-guard"] == "blocked"
        row = on.served.parts.usage.events[-1]
        assert row.status == "blocked"
        assert row.cost_usd is not None
        assert row.cost_usd > 0


async def test_what_only_observes_changes_nothing(tmp_path: Path) -> None:
    async with world(tmp_path) as on:
        body = json.dumps(VERBOSE).encode()
        answer = await on.hear("watched", body)
        assert (answer.content, answer.headers["x-sluice-guard"]) == (body, "flagged")
        answer = await on.hear("watched", SRT.encode(), kind="text/plain")
        assert (answer.content, answer.headers["x-sluice-guard"]) == (SRT.encode(), "flagged")
        delta = {"type": "transcript.text.delta", "delta": f"Write to {MAIL}"}
        done = {"type": "transcript.text.done", "text": f"Write to {MAIL}"}
        for events in ([delta], [delta, done], [done]):
            answer = await on.stream("watched", *events)
            assert answer.text.count(MAIL) == len(events)
            assert on.served.parts.usage.events[-1].guard_issues == ("pii_detected", "content_filtered")


async def test_a_stream_is_checked_before_it_goes_out_however_it_is_cut(tmp_path: Path) -> None:
    async with world(tmp_path) as on:
        text = VERBOSE["text"]
        assert isinstance(text, str)
        deltas = [
            {
                "type": "transcript.text.delta",
                "delta": text[at : at + 3],
                "segment_id": "s",
                "logprobs": [{"token": "x"}],
            }
            for at in range(0, len(text), 3)
        ]
        segments = [
            {"type": "transcript.text.segment", "id": "s", "text": one, "start": 0, "end": 1, "speaker": "A"}
            for one in (SAID, THEN)
        ]
        done = {"type": "transcript.text.done", "text": text, "logprobs": [{"token": MAIL}], "usage": TRANSCRIPT_USAGE}
        answer = await on.stream("guarded", *deltas, *segments, done, names=True)
        events = events_of(answer)
        shown = "Write to [EMAIL], and pay with [CREDIT_CARD] tomorrow."
        assert "".join(one.get("delta", "") for one in events) == shown
        assert [one["text"].strip() for one in events if one["type"].endswith("segment")] == [
            "Write to [EMAIL], and pay with [CREDIT_CARD]",
            "tomorrow.",
        ]
        assert events[-1] == {"type": "transcript.text.done", "text": shown, "usage": events[-1]["usage"]}
        assert "logprobs" not in answer.text
        assert answer.text.count("event: transcript.text.delta\n") == answer.text.count('"transcript.text.delta"')
        row = on.served.parts.usage.events[-1]
        assert (row.status, row.prompt_tokens, row.guard_issues) == ("ok", 20, ("pii_detected", "content_filtered"))


async def test_words_of_a_stream_say_to_which_segment_they_belong(tmp_path: Path) -> None:
    async with world(tmp_path) as on:

        def piece(text: str, segment: Any, **beside: Any) -> dict[str, Any]:
            return {"type": "transcript.text.delta", "delta": text, "segment_id": segment, **beside}

        def told(answer: httpx.Response) -> list[tuple[str, Any]]:
            out: list[tuple[str, Any]] = []
            for one in events_of(answer):
                segment = one.get("segment_id")
                if out and out[-1][1] == segment:
                    out[-1] = (out[-1][0] + one["delta"], segment)
                else:
                    out.append((one["delta"], segment))
            return out

        said = [("The fox ran over the hill and was gone. " * (at % 3 + 1), f"seg_{at}") for at in range(12)]
        cut = [piece(text[at : at + 7], segment) for text, segment in said for at in range(0, len(text), 7)]
        assert told(await on.stream("guarded", *cut)) == said, "however long the windows are"
        # where something was taken out, nobody can tell where one segment ends and the next begins
        mail = await on.stream(
            "guarded", piece("Yes. ", "a"), piece(f"Write to {MAIL} now. ", "b"), piece("Good.", "c")
        )
        assert told(mail) == [("Yes. ", "a"), ("Write to [EMAIL] now. Good.", None)]
        only = await on.stream("guarded", piece("Yes. ", "a"), piece("Write to ada@", "b"), piece("example.org", "b"))
        assert told(only) == [("Yes. ", "a"), ("Write to [EMAIL]", "b")]
        # what is no id names none, and what else the provider says of a piece is checked as its words are
        odd = piece("Yes.", f"of {MAIL}", speaker=MAIL, channel=1)
        assert events_of(await on.stream("guarded", odd)) == [
            {"type": "transcript.text.delta", "channel": 1, "delta": "Yes."}
        ]


async def test_the_official_client_reads_a_guarded_stream(tmp_path: Path) -> None:
    async with world(tmp_path) as on:
        stream = await on.api.audio.transcriptions.create(model="guarded", file=("a.wav", b"RIFF"), stream=True)
        events = [event async for event in stream]
        assert [event.type for event in events] == ["transcript.text.delta", "transcript.text.done"]
        assert [getattr(event, "delta", getattr(event, "text", None)) for event in events] == ["The fox", "The fox"]


async def test_the_chunks_of_vllm_are_guarded_too(tmp_path: Path) -> None:
    async with world(tmp_path) as on:

        def chunk(text: str, **choice: Any) -> dict[str, Any]:
            return {
                "id": "trsc-1",
                "object": "transcription.chunk",
                "choices": [{"delta": {"content": text}, **choice}],
            }

        answer = await on.stream(
            "guarded", chunk(" Write to ada@"), chunk("example.org now"), chunk("", finish_reason="stop"), done=True
        )
        said = "".join(one["choices"][0]["delta"].get("content") or "" for one in events_of(answer))
        assert said == " Write to [EMAIL] now"
        assert answer.text.endswith("data: [DONE]\n\n")


async def test_a_blocked_stream_ends_with_an_error_and_its_counts_are_charged(tmp_path: Path) -> None:
    async with world(tmp_path) as on:
        deltas = [{"type": "transcript.text.delta", "delta": f"Write to {MAIL} "} for _ in range(40)]
        done = {"type": "transcript.text.done", "text": "x", "usage": TRANSCRIPT_USAGE}
        answer = await on.stream("strict", *deltas, done)
        events = events_of(answer)
        assert [one["error"]["code"] for one in events] == ["content_filter"]
        assert MAIL not in answer.text
        row = on.served.parts.usage.events[-1]
        assert (row.status, row.error_code, row.prompt_tokens) == ("blocked", "content_filter", 20)


@pytest.mark.parametrize(
    ("body", "kind", "stream"),
    [
        (b"\xff\xfe\x00", "text/plain", {}),
        (SOUND, "audio/mpeg", {"stream": "true"}),
    ],
    ids=["no text", "sound"],
)
async def test_what_nobody_can_read_does_not_pass(
    tmp_path: Path, body: bytes, kind: str, stream: dict[str, str]
) -> None:
    async with world(tmp_path) as on:
        answer = await on.hear("guarded", body, kind=kind, **stream)
        assert (answer.status_code, answer.json()["error"]["type"]) == (502, "upstream_error")


async def test_without_a_guardrail_the_policy_decides() -> None:
    async with MediaProvider() as provider:
        parts = Parts()
        parts.guard.failing = DependencyUnavailable("away")
        async with serving(parts, routing(provider)) as served, asking(served, provider) as on:
            answer = await on.hear("guarded", VERBOSE)
            assert (answer.status_code, answer.headers.get("x-sluice-guard")) == (503, None)
            answer = await on.hear("open", VERBOSE)
            assert (answer.json(), answer.headers["x-sluice-guard"]) == (VERBOSE, "unchecked")
            answer = await on.hear("open", SRT.encode(), kind="text/plain")
            assert (answer.content, answer.headers["x-sluice-guard"]) == (SRT.encode(), "unchecked")
            delta = {"type": "transcript.text.delta", "delta": "Write"}
            done = {"type": "transcript.text.done", "text": "Write"}
            assert (await on.stream("guarded", delta, done)).status_code == 200
            assert parts.usage.events[-1].error_code == "dependency_unavailable"
            answer = await on.stream("open", delta, done)
            assert [one["type"] for one in events_of(answer)] == [delta["type"], done["type"]]
            assert ": x-sluice-guard: unchecked" in answer.text


@pytest.mark.parametrize("name", ["open", "watched"])
async def test_sound_and_pictures_that_nobody_reads_pass_as_they_come(tmp_path: Path, name: str) -> None:
    async with world(tmp_path) as on:
        spoken = await on.http.post("/v1/audio/speech", json={"model": f"voice-{name}", "voice": "a", "input": "fox"})
        assert spoken.content == SOUND
        drawn = await on.http.post(
            "/v1/images/generations", json={"model": f"image-{name}", "prompt": "fox", "stream": True}
        )
        kinds = [one["type"] for one in events_of(drawn)]
        assert kinds == ["image_generation.partial_image", "image_generation.completed"]
