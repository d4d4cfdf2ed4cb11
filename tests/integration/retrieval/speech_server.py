"""A speech model that hears tones, with the wire format of OpenAI's `POST /audio/transcriptions`, a vision model that names colours, and recordings for both.

Source: https://platform.openai.com/docs/api-reference/audio
"""

import base64
import io
import json
import math
import threading
import wave
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import HTTP
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import Any

import av
from PIL import Image

KEY = "sk-speech"
RATE = 16_000
_FRAME = 1024
TONES = {"alpha": 300, "bravo": 600, "charlie": 1000, "delta": 1500, "silence": 0}
COLOURS = {"red": (254, 0, 0), "green": (0, 128, 0), "blue": (0, 0, 254)}


@dataclass
class Speech:
    """Where it is, what it was sent, and how it behaves.

    `timed` is false for models that give no times, such as OpenAI's gpt-4o-transcribe; `status` is what it refuses with; from
    request number `hold_at` on it answers only once `released` is set.
    """

    url: str
    key: str = KEY
    heard: list[dict[str, Any]] = field(default_factory=list)
    looked: int = 0
    timed: bool = True
    status: int = 200
    message: str = "The audio file could not be decoded."
    hold_at: int = 1_000_000
    released: threading.Event = field(default_factory=threading.Event)


def samples_of(said: Sequence[tuple[str, float]], rate: int = RATE) -> "array[int]":
    """Return tones for words, each for so many seconds."""
    found = array("h")
    for word, seconds in said:
        second = array("h", (int(9000 * math.sin(2 * math.pi * TONES[word] * at / rate)) for at in range(rate)))
        found += (second * math.ceil(seconds))[: int(seconds * rate)]
    return found


def wav(said: Sequence[tuple[str, float]], rate: int = RATE) -> bytes:
    """Return a recording of words."""
    packed = io.BytesIO()
    with wave.open(packed, "wb") as out:
        out.setparams((1, 2, rate, 0, "NONE", ""))
        out.writeframes(samples_of(said, rate).tobytes())
    return packed.getvalue()


def encoded(
    container: str,
    said: Sequence[tuple[str, float]] = (),
    shown: Sequence[tuple[str, float]] = (),
    codecs: tuple[str, str] = ("aac", "mpeg4"),
) -> bytes:
    """Return a recording or a video in a container of FFmpeg's: words that are said, and colours that are shown, for so many seconds each."""
    packed = io.BytesIO()
    with av.open(packed, "w", format=container) as out:
        quick = {"aac_coder": "fast"} if codecs[0] == "aac" else None  # the other one takes seconds over pure tones
        sound = out.add_stream(codecs[0], rate=RATE, options=quick) if said else None
        rate = 25 if codecs[1] == "mpeg1video" else 2  # which knows few rates
        film = out.add_stream(codecs[1], rate=rate) if shown else None
        if film is not None:
            film.width, film.height, film.pix_fmt = 96, 64, "yuv420p"
            film.codec_context.gop_size = rate
            frames = [colour for colour, seconds in shown for _ in range(int(rate * seconds))]
            for colour in frames:
                out.mux(film.encode(av.VideoFrame.from_image(Image.new("RGB", (96, 64), COLOURS[colour]))))
            out.mux(film.encode())
        if sound is not None:
            raw = samples_of(said)
            for start in range(0, len(raw), _FRAME):
                some = raw[start : start + _FRAME]
                frame = av.AudioFrame(format="s16", layout="mono", samples=len(some))
                frame.planes[0].update(some.tobytes())
                frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
                out.mux(sound.encode(frame))
            out.mux(sound.encode())
    return packed.getvalue()


def words_in(sound: bytes) -> Iterator[tuple[float, float, str]]:
    """Yield the words that are heard in a WAV with their seconds: by how often it crosses zero in each half second."""
    with wave.open(io.BytesIO(sound)) as read:
        assert (read.getnchannels(), read.getsampwidth(), read.getframerate()) == (1, 2, RATE)
        samples = array("h", read.readframes(read.getnframes()))
    runs: list[tuple[float, float, str]] = []
    for start in range(0, len(samples), RATE // 2):
        some = samples[start : start + RATE // 2]
        crossed = sum((a < 0) != (b < 0) for a, b in pairwise(some)) * RATE / len(some) / 2
        loud = max(some) > 1000
        word = min(TONES, key=lambda one: abs(TONES[one] - crossed)) if loud else "silence"
        begin, end = start / RATE, (start + len(some)) / RATE
        if runs and runs[-1][2] == word:
            runs[-1] = (runs[-1][0], end, word)
        else:
            runs.append((begin, end, word))
    yield from (run for run in runs if run[2] != "silence")


def transcript(sound: bytes, *, timed: bool) -> dict[str, Any]:
    """Return what OpenAI answers: `verbose_json` with segments, or `json`."""
    spoken = list(words_in(sound))
    text = " ".join(f"We speak of {word}." for _, _, word in spoken)
    if not timed:
        return {"text": text, "usage": {"type": "duration", "seconds": 1}}
    segments = [
        {"id": number, "seek": 0, "start": begin, "end": end, "text": f" We speak of {word}.", "tokens": [50364],
         "temperature": 0.0, "avg_logprob": -0.2, "compression_ratio": 1.1, "no_speech_prob": 0.01}
        for number, (begin, end, word) in enumerate(spoken)
    ]  # fmt: skip
    noise = {
        **(segments[0] if segments else {"start": 0.0, "end": 1.0}),
        "text": " Thank you for watching.",
        "avg_logprob": -1.4,
        "no_speech_prob": 0.9,
    }
    return {"task": "transcribe", "language": "english", "duration": 1.0, "text": text, "segments": [*segments, noise],
            "usage": {"type": "duration", "seconds": 1}}  # fmt: skip


def colour_of(url: str) -> str:
    """Name the colour of an image in a data URL."""
    head, _, data = url.partition(",")
    assert head == "data:image/webp;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
        seen = picture.convert("RGB").resize((1, 1)).getpixel((0, 0))
    assert isinstance(seen, tuple)
    return min(COLOURS, key=lambda one: sum(abs(a - b) for a, b in zip(COLOURS[one], seen, strict=True)))


class _Handler(BaseHTTPRequestHandler):
    """Answers for one `Speech`, which the class that is served has."""

    protocol_version = "HTTP/1.1"
    speech: Speech

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path != "/v1/chat/completions" and self.headers["authorization"] != (
            f"Bearer {self.speech.key}" if self.speech.key else None
        ):
            self.answer(401, {"error": {"message": "Incorrect API key provided."}})
        elif self.path == "/v1/chat/completions":
            self.speech.looked += 1
            shown = json.loads(body)["messages"][0]["content"][1]["image_url"]["url"]
            said = f"A {colour_of(shown)} wall."
            self.answer(200, {"choices": [{"message": {"role": "assistant", "content": said}}]})
        else:
            assert self.path == "/v1/audio/transcriptions"
            self.transcribe(self.form(body))

    def form(self, body: bytes) -> dict[str, Any]:
        head = f"content-type: {self.headers['content-type']}\r\n\r\n".encode()
        found: dict[str, Any] = {}
        for part in BytesParser(policy=HTTP).parsebytes(head + body).iter_parts():
            content = part.get_payload(decode=True)
            assert isinstance(content, bytes)
            name = str(part.get_param("name", header="content-disposition"))
            found[name] = content if part.get_filename() else content.decode()
            if part.get_filename():
                found["filename"] = part.get_filename()
        return found

    def transcribe(self, form: dict[str, Any]) -> None:
        speech = self.speech
        timed = form["response_format"] == "verbose_json"
        speech.heard.append(form)
        if len(speech.heard) >= speech.hold_at:
            speech.released.wait(60)
        if speech.status != 200:
            self.answer(speech.status, _fault(speech.message))
        elif timed and not speech.timed:
            self.answer(400, _fault("response_format 'verbose_json' is not compatible with this model."))
        else:
            assert not timed or form["timestamp_granularities[]"] == "segment"
            self.answer(200, transcript(form["file"], timed=timed))

    def answer(self, status: int, body: object) -> None:
        raw = json.dumps(body).encode()
        with suppress(BrokenPipeError, ConnectionResetError):
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def _fault(message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}}


@contextmanager
def speech_provider() -> Iterator[Speech]:
    """Serve on a free port."""
    handler = type("Handler", (_Handler,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        speech = handler.speech = Speech(f"http://127.0.0.1:{server.server_port}/v1")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield speech
        finally:
            speech.released.set()
            server.shutdown()
            thread.join()
