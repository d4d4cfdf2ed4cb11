"""Recordings and videos, decoded by FFmpeg's libraries (PyAV): a part of the sound as WAV, and pictures of a video.

The container is told by the file's first bytes and by nothing else: of FFmpeg's own guesses some open other files and addresses
(playlists, lists of parts). Each call decodes one part, so that its cost does not grow with the recording.
"""

import base64
import io
import json
import wave
from array import array
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition
from PIL import Image

from sluice_retrieval.adapters.extract.markdown import TooLarge, Unreadable

_RATE = 16_000  # what models of speech are trained on
_LOUD = 200  # of 32,768: quieter than -44 dB all through is silence
_WINDOW = _RATE // 4
_VIEW = 1024
_LOOK_WIDTH, _LOOK_HEIGHT = 32, 18
_OTHER_SCENE = 8  # mean difference of colours, of 255, from which on a picture shows something else
_PICTURE_EVERY_S = 10.0
_PICTURES = 8
_MICROSECOND = 1_000_000


def read_sound(raw: bytes, start_s: float, longest_s: float) -> str:
    """Return, as JSON, at most `longest_s` seconds of sound from a second on: `sound` (WAV, mono, 16 kHz; base64; empty if it is silent), `start_s`, `end_s` and `ended`.

    A part that is not the last ends in the quietest quarter of a second of its last quarter, so that no word is cut in two.

    Raises:
        Unreadable: it is no recording, broken, or has neither sound nor pictures.
    """
    with _opened(raw) as container:
        if not container.streams.audio:
            if not _pictured(container):
                raise Unreadable("The file has neither a sound track nor pictures.")
            return json.dumps({"sound": "", "start_s": start_s, "end_s": start_s, "ended": True})
        samples, first, ended = _decoded(container, start_s, longest_s)
    if not samples and not start_s:
        raise Unreadable("The file is broken: its sound track holds nothing that can be decoded.")
    if not ended:
        del samples[_quiet_end(samples) :]
    loud = bool(samples) and (max(samples) >= _LOUD or min(samples) <= -_LOUD)
    return json.dumps(
        {
            "sound": base64.b64encode(_wav(samples)).decode() if loud else "",
            "start_s": first,
            "end_s": first + len(samples) / _RATE,
            "ended": ended,
        }
    )


def read_pictures(raw: bytes, start_s: float, most: int, max_pixels: int) -> str:
    """Return, as JSON, the next `pictures` of a video (second, WebP in base64), `until_s` and `ended`.

    `most` is how many a whole video gives: they lie ten seconds or more apart, evenly over it, and of pictures that look alike
    the first stands for all. Only whole frames of the stream (key frames) are decoded.

    Raises:
        Unreadable: the video is broken.
        TooLarge: its frames have more than `max_pixels`.
    """
    with _opened(raw) as container:
        found: list[tuple[float, str]] = []
        until_s, ended = start_s, True
        if _pictured(container):
            stream = container.streams.video[0]
            if stream.codec_context.width * stream.codec_context.height > max_pixels:
                raise TooLarge(f"The frames of the video have more than {max_pixels} pixels. Make it smaller.")
            found, until_s, ended = _pictures(container, start_s, most)
    return json.dumps({"pictures": found, "until_s": until_s, "ended": ended})


@contextmanager
def _opened(raw: bytes) -> Iterator[InputContainer]:
    try:
        with av.open(io.BytesIO(raw), mode="r", format=_container_of(raw), metadata_errors="replace") as container:
            yield container
    except FFmpegError as exc:
        raise Unreadable(f"The recording is broken: its decoder stopped with {type(exc).__name__}.") from exc


def _container_of(raw: bytes) -> str:
    head = raw[:12]
    if head.startswith(b"RIFF") and head[8:] == b"WAVE":
        return "wav"
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free"):
        return "mp4"
    for magic, name in (
        (b"\x1a\x45\xdf\xa3", "matroska"),
        (b"OggS", "ogg"),
        (b"fLaC", "flac"),
        (b"ID3", "mp3"),
        (b"\x00\x00\x01\xba", "mpeg"),
    ):
        if head.startswith(magic):
            return name
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        return "mp3"
    raise Unreadable("The file is no recording that is read: WAV, MP3, M4A, FLAC, Ogg, WebM, MP4, MOV, MKV or MPEG.")


def _pictured(container: InputContainer) -> bool:
    # The cover of a song is a stream too.
    streams = container.streams.video
    return bool(streams) and not streams[0].disposition & Disposition.attached_pic


def _frames(
    container: InputContainer, stream: av.AudioStream | av.VideoStream, start_s: float
) -> Iterator[tuple[float, Any]]:
    """Yield frames with their seconds, from shortly before `start_s` on; a damaged packet costs its own fraction of a second."""
    stream.codec_context.thread_type = "NONE"
    origin = (container.start_time or 0) / _MICROSECOND
    if start_s:
        container.seek(int((origin + start_s) * _MICROSECOND), backward=True)
    for packet in container.demux(stream):
        try:
            frames: Iterable[Any] = packet.decode()
        except FFmpegError:
            continue
        for frame in frames:
            yield max((frame.time or 0.0) - origin, 0.0), frame


def _decoded(container: InputContainer, start_s: float, longest_s: float) -> tuple["array[int]", float, bool]:
    """Return samples from `start_s` on, the second of the first one, and whether nothing follows."""
    resampler = av.AudioResampler(format="s16", layout="mono", rate=_RATE)
    samples, first = array("h"), -1.0
    for at, frame in _frames(container, container.streams.audio[0], start_s):
        if at + frame.samples / frame.sample_rate <= start_s:
            continue
        first = at if first < 0 else first
        _add(samples, resampler.resample(frame))
        if samples and first < start_s:
            del samples[: round((start_s - first) * _RATE)]
            first = start_s
        if len(samples) > longest_s * _RATE:
            del samples[int(longest_s * _RATE) :]
            return samples, first, False
    _add(samples, resampler.resample(None))
    return samples, max(first, start_s), True


def _add(samples: "array[int]", resampled: Iterable[av.AudioFrame]) -> None:
    for mono in resampled:
        samples.frombytes(bytes(mono.planes[0])[: 2 * mono.samples])


def _quiet_end(samples: "array[int]") -> int:
    """Return the middle of the quietest window in the last quarter."""
    starts = range(len(samples) * 3 // 4, max(len(samples) - _WINDOW, 1), _WINDOW // 2)
    quietest = min(starts, key=lambda at: max(samples[at : at + _WINDOW]) - min(samples[at : at + _WINDOW]))
    return max(quietest + _WINDOW // 2, 1)


def _wav(samples: "array[int]") -> bytes:
    packed = io.BytesIO()
    with wave.open(packed, "wb") as out:
        out.setparams((1, 2, _RATE, 0, "NONE", ""))
        out.writeframes(samples.tobytes())
    return packed.getvalue()


def _pictures(container: InputContainer, start_s: float, most: int) -> tuple[list[tuple[float, str]], float, bool]:
    stream = container.streams.video[0]
    stream.codec_context.skip_frame = "NONKEY"
    every = max(_PICTURE_EVERY_S, (container.duration or 0) / _MICROSECOND / most)
    found: list[tuple[float, str]] = []
    looks, until_s = b"", start_s
    for at, frame in _frames(container, stream, start_s):
        if at < until_s:
            continue
        if len(found) == _PICTURES:
            return found, until_s, False
        if at >= most * every:  # a stream that does not say how long it is
            break
        until_s = at + every
        small = frame.reformat(width=_LOOK_WIDTH, height=_LOOK_HEIGHT, format="rgb24").planes[0]
        seen = _rows(bytes(small), small.line_size)
        if looks and sum(abs(a - b) for a, b in zip(seen, looks, strict=True)) < _OTHER_SCENE * len(seen):
            continue
        looks = seen
        found.append((at, base64.b64encode(_webp(frame)).decode()))
    return found, until_s, True


def _rows(plane: bytes, stride: int) -> bytes:
    return b"".join(plane[row * stride : row * stride + 3 * _LOOK_WIDTH] for row in range(_LOOK_HEIGHT))


def _webp(frame: Any) -> bytes:
    picture: Image.Image = frame.to_image()
    picture.thumbnail((_VIEW, _VIEW))
    packed = io.BytesIO()
    picture.save(packed, "WEBP", quality=80)
    return packed.getvalue()
