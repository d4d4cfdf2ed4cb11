"""A model that writes down what is said, behind `POST /audio/transcriptions`, and a vision model for what a video shows."""

import asyncio
import json
import logging
import math
import secrets
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from pathlib import PurePosixPath
from typing import Annotated, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sluice.clients.http import Breaker, HttpAnswer, Transport
from sluice.errors import DependencyUnavailable, UpstreamFailed
from sluice_retrieval.adapters.extract.markdown import TooLarge, Writer
from sluice_retrieval.adapters.extract.sandbox import ProcessExtractor, Sound
from sluice_retrieval.adapters.extract.timed import write_timed
from sluice_retrieval.domain.errors import DocumentTooLarge, DocumentUnreadable
from sluice_retrieval.domain.recordings import Part, TranscriptionFailed
from sluice_retrieval.domain.timed import Line

_log = logging.getLogger(__name__)
_PART_S, _UNTIMED_PART_S = 600.0, 60.0
_BYTES_A_SECOND, _HEADER = 32_000, 44  # WAV of 16 bits, mono, 16 kHz
_TAKEN_WHOLE = frozenset({".flac", ".mp3", ".mp4", ".mpeg", ".mpga", ".m4a", ".ogg", ".wav", ".webm"})
_REFUSALS = (HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE, HTTPStatus.UNPROCESSABLE_ENTITY)  # fmt: skip
_NO_SPEECH, _DOUBT = 0.6, -1.0
_MOST_CHARS = 300
_AT_ONCE = 4

Second = Annotated[float, Field(allow_inf_nan=False)]


class _Loose(BaseModel):
    model_config = ConfigDict(extra="ignore")


class _Segment(_Loose):
    start: Second
    end: Second
    text: str
    avg_logprob: float = 0.0
    no_speech_prob: float = 0.0

    @property
    def spoken(self) -> bool:
        # What Whisper itself takes for silence (its `no_speech_threshold` and `logprob_threshold`): words made of noise.
        return bool(self.text.strip()) and not (self.no_speech_prob > _NO_SPEECH and self.avg_logprob < _DOUBT)


class _Transcript(_Loose):
    text: str
    segments: tuple[_Segment, ...] | None = None
    duration: Second | None = None


class _Fault(_Loose):
    message: str = ""


class _Refusal(_Loose):
    error: _Fault = _Fault()


class Said(NamedTuple):
    """What a model heard in a file; `timed`: it told when."""

    lines: tuple[Line, ...]
    timed: bool


class SpeechModel:
    """OpenAI's `POST /audio/transcriptions`. After five failures in a row it is left alone for five seconds."""

    def __init__(
        self, transport: Transport, url: str, model: str, api_key: str, timeout_s: float, failed: Callable[[], None]
    ) -> None:
        self._transport = transport
        self._url = f"{url.rstrip('/')}/audio/transcriptions"
        self._headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
        self._model = model
        self._timeout_s = timeout_s
        self._failed = failed
        self._breaker = Breaker()

    async def hear(self, filename: str, sound: Sound, *, timed: bool) -> Said:
        """Return what is said in a part of a recording, whose segments the model is to time; without times it is one line.

        Raises:
            DocumentUnreadable: the model refuses the file.
            DependencyUnavailable: it cannot be reached, or is left alone, or does not let us in.
            UpstreamFailed: its answer is not of the shape.
            TranscriptionFailed: it was not done in time, or broke down over the file.
        """
        said = await self._asked(filename, sound.sound, timed=timed)
        start_s = sound.start_s
        if said.segments:
            longest = (
                sound.end_s - start_s if sound.end_s > start_s else math.inf
            )  # some models tell of more than they heard

            def at(second: float) -> float:
                return start_s + min(max(second, 0.0), longest)

            lines = (Line(at(one.start), at(one.end), one.text) for one in said.segments if one.spoken)
            return Said(tuple(_printable(line) for line in lines), timed=True)
        if not said.text.strip():
            return Said((), timed=timed)
        end_s = max(sound.end_s, start_s + (said.duration or 0.0))
        return Said((_printable(Line(start_s, end_s, said.text)),), timed=False)

    async def _asked(self, filename: str, sound: bytes, *, timed: bool) -> _Transcript:
        if not self._breaker.allows():
            raise DependencyUnavailable("The transcription model failed several times and is left alone for a moment.")
        try:
            found = await self._read(await self._sent(filename, sound, timed=timed))
        except (DependencyUnavailable, UpstreamFailed):
            self._breaker.failed()
            self._failed()
            raise
        except DocumentUnreadable:
            self._breaker.succeeded()
            raise
        except BaseException:
            self._breaker.abandoned()
            raise
        self._breaker.succeeded()
        return found

    async def _read(self, answer: HttpAnswer) -> _Transcript:
        if answer.status in _REFUSALS:
            raise DocumentUnreadable(f"The transcription model refuses the recording: {_reason(answer)}")
        if answer.status in (HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.GATEWAY_TIMEOUT):
            raise TranscriptionFailed(f"The transcription model answered with status {answer.status}.")
        if answer.status != HTTPStatus.OK:
            raise DependencyUnavailable(f"The transcription model answered with status {answer.status}.")
        try:
            return _Transcript.model_validate_json(answer.body)
        except ValidationError as exc:
            raise TranscriptionFailed("The transcription model's answer cannot be read.") from exc

    async def _sent(self, filename: str, sound: bytes, *, timed: bool) -> HttpAnswer:
        fields = {"model": self._model, "response_format": "verbose_json" if timed else "json", "temperature": "0"}
        if timed:
            fields["timestamp_granularities[]"] = "segment"
        body, content_type = _form(fields, filename, sound)
        headers = {**self._headers, "content-type": content_type}
        try:
            return await self._transport.send("POST", self._url, headers, body, self._timeout_s)
        except TimeoutError as exc:
            raise TranscriptionFailed("The transcription model did not answer in time.") from exc
        except OSError as exc:
            raise DependencyUnavailable("The transcription model cannot be reached.") from exc


class Transcriber:
    """The `Recordings` port: sound goes to a speech model, and pictures of videos to a vision model where one describes images.

    With PyAV (`decodes`) recordings are decoded, and go to the model in parts of ten minutes at most, or of one minute where it
    gives no times. Without it a file goes there as it is, which the model must take.
    """

    def __init__(
        self,
        decoder: ProcessExtractor,
        speech: SpeechModel,
        describe: Callable[[bytes], Awaitable[str]] | None,
        *,
        decodes: bool,
        most_bytes: int,
        most_pictures: int,
        max_text_bytes: int,
    ) -> None:
        self._decoder = decoder
        self._speech = speech
        self._describe = describe
        self._decodes = decodes
        self._most_bytes = most_bytes
        self._most_pictures = most_pictures
        self._max_text_bytes = max_text_bytes
        self._timed: bool | None = None

    async def hear(self, raw: bytes, name: str, start_s: float) -> Part:
        """Return what is said in the next part."""
        if self._timed is not None:
            return await self._part(raw, name, start_s, timed=self._timed)
        try:
            return await self._part(raw, name, start_s, timed=True)
        except DocumentUnreadable:  # by the decoder, for what the recording is, or since the model gives no times
            return await self._part(raw, name, start_s, timed=False)

    async def _part(self, raw: bytes, name: str, start_s: float, *, timed: bool) -> Part:
        if not self._decodes:
            sound, filename = self._whole(raw, name), f"recording{PurePosixPath(name.lower()).suffix}"
        else:
            wished = _PART_S if timed else _UNTIMED_PART_S
            longest_s = min(wished, (self._most_bytes - _HEADER) / _BYTES_A_SECOND)
            sound, filename = await self._decoder.sound(raw, start_s, longest_s), "part.wav"
        if not sound.sound:
            return Part((), sound.end_s, sound.ended)
        said = await self._speech.hear(filename, sound, timed=timed)
        if self._timed is None and not said.timed:
            _log.info("the transcription model gives no times: recordings are read in parts of a minute")
        self._timed = said.timed
        return Part(said.lines, sound.end_s or max((line.end_s for line in said.lines), default=0.0), sound.ended)

    async def look(self, raw: bytes, start_s: float) -> Part:
        """Return what the next pictures show; of one that the model did not describe in time nothing is said."""
        if self._describe is None or not self._decodes or not self._most_pictures:
            return Part((), start_s, ended=True)
        found = await self._decoder.pictures(raw, start_s, self._most_pictures)
        slots = asyncio.Semaphore(_AT_ONCE)

        async def described(shown: bytes) -> str:
            assert self._describe is not None
            async with slots:
                return await self._describe(shown)

        said = await asyncio.gather(*(described(shown) for _, shown in found.pictures))
        lines = (Line(second, second, text, seen=True) for (second, _), text in zip(found.pictures, said, strict=True))
        return Part(tuple(_printable(line) for line in lines if line.text.strip()), found.until_s, found.ended)

    def text(self, lines: Sequence[Line]) -> str:
        """Return lines as Markdown."""
        writer = Writer(self._max_text_bytes)
        try:
            write_timed(writer, lines)
        except TooLarge as exc:
            raise DocumentTooLarge(str(exc)) from exc
        return writer.text()

    def _whole(self, raw: bytes, name: str) -> Sound:
        how = "Install the service's extra `video`, which decodes and divides recordings, or convert it."
        if PurePosixPath(name.lower()).suffix not in _TAKEN_WHOLE:
            raise DocumentUnreadable(f"A recording of this type has to be decoded first. {how}")
        if len(raw) > self._most_bytes:
            raise DocumentTooLarge(f"The transcription model takes {self._most_bytes} bytes at most. {how}")
        return Sound(raw, 0.0, 0.0, ended=True)


def _form(fields: dict[str, str], filename: str, sound: bytes) -> tuple[bytes, str]:
    """Return a form with a file (RFC 7578), and its content type."""
    boundary = secrets.token_hex(16)
    parts = [
        f'--{boundary}\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    head = f'--{boundary}\r\ncontent-disposition: form-data; name="file"; filename="{filename}"\r\n'
    head += "content-type: application/octet-stream\r\n\r\n"
    end = f"\r\n--{boundary}--\r\n"
    return b"".join([*parts, head.encode(), sound, end.encode()]), f"multipart/form-data; boundary={boundary}"


def _reason(answer: HttpAnswer) -> str:
    try:
        said = _Refusal.model_validate_json(answer.body).error.message
    except ValidationError:
        said = ""
    return json.dumps(said[:_MOST_CHARS], ensure_ascii=False) if said else f"status {answer.status}."


def _printable(line: Line) -> Line:
    return line._replace(text="".join(one if one.isprintable() else " " for one in line.text).strip())
