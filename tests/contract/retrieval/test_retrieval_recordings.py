"""Recordings and videos: decoded by FFmpeg in the real parsing process, heard and seen by models with true wire formats."""

import asyncio
import io
import re
from array import array
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import av
import httpx
import pytest
from tests.contract.retrieval.test_retrieval_api import ACME, OTHER, make_store
from tests.contract.retrieval.test_retrieval_extract import extractor
from tests.integration.retrieval.speech_server import KEY, RATE, Speech, encoded, speech_provider, wav, words_in

from sluice.clients.http import AiohttpTransport
from sluice.errors import DependencyUnavailable
from sluice.migrations import upgrade
from sluice.testing import asgi_client, free_port, platform_settings
from sluice_retrieval.__main__ import MIGRATIONS
from sluice_retrieval.adapters.captioner import Captioned
from sluice_retrieval.adapters.transcriber import SpeechModel, Transcriber
from sluice_retrieval.app import create_app
from sluice_retrieval.domain.errors import DocumentTooLarge, DocumentUnreadable
from sluice_retrieval.domain.recordings import Heard, Part, Recordings, TranscriptionFailed
from sluice_retrieval.settings import RetrievalSettings
from sluice_retrieval.wiring import Deps, open_deps

TALK = [("alpha", 12.0), ("silence", 1.0), ("bravo", 12.0), ("silence", 1.0), ("charlie", 12.0)]
SCENES = [("red", 20.0), ("green", 10.0), ("blue", 8.0)]
# What each kind of file is made of, as the devices and programs that write them do.
FORMATS = {
    "wav": ("wav", ("pcm_s16le", "")),
    "mp3": ("mp3", ("libmp3lame", "")),
    "flac": ("flac", ("flac", "")),
    "ogg": ("ogg", ("libopus", "")),
    "m4a": ("mp4", ("aac", "")),
    "mp4": ("mp4", ("aac", "mpeg4")),
    "mov": ("mov", ("aac", "mpeg4")),
    "mkv": ("matroska", ("flac", "mpeg4")),
    "webm": ("webm", ("libopus", "libvpx")),
    "mpeg": ("mpeg", ("mp2", "mpeg1video")),
}


def near(second: float) -> Any:
    """Return what equals a second within one: as far apart as whole frames are."""
    return pytest.approx(second, abs=1.1)


@asynccontextmanager
async def transcriber(speech: Speech, *, sees: bool = True, **changed: Any) -> AsyncIterator[Transcriber]:
    """Yield what reads recordings, on real connections and the real parsing process."""
    transport = AiohttpTransport()
    reader = extractor()
    timeout_s = changed.pop("timeout_s", 20.0)
    model = SpeechModel(transport, speech.url, "whisper-1", KEY, timeout_s, lambda: None)
    seer = Captioned(reader, transport, speech.url, "seer", KEY, 20.0, lambda: None)
    options = {"decodes": True, "most_bytes": 25_000_000, "most_pictures": 60, "max_text_bytes": 100_000, **changed}
    try:
        yield Transcriber(reader, model, seer.describe if sees else None, **options)
    finally:
        await transport.close()


async def read(recordings: Recordings, raw: bytes, name: str) -> tuple[Heard, str]:
    """Read a recording to its end, and return its parts and its text."""
    found: list[list[Part]] = [[], []]
    for parts, seen in zip(found, (False, True), strict=True):
        while not parts or not parts[-1].ended:
            start_s = parts[-1].until_s if parts else 0.0
            parts.append(await (recordings.look(raw, start_s) if seen else recordings.hear(raw, name, start_s)))
    heard = Heard(tuple(found[0]), tuple(found[1]))
    return heard, recordings.text(heard.lines)


@pytest.mark.parametrize("ending", FORMATS)
async def test_every_kind_of_recording_and_video_is_heard_and_seen_with_its_times(ending: str) -> None:
    container, codecs = FORMATS[ending]
    shown = SCENES if codecs[1] else ()
    raw = encoded(container, TALK, shown, codecs)
    with speech_provider() as speech:
        async with transcriber(speech) as recordings:
            heard, text = await read(recordings, raw, f"talk.{ending}")
    spoken = {line.text: line.start_s for line in heard.lines if not line.seen}
    assert list(spoken) == ["We speak of alpha.", "We speak of bravo.", "We speak of charlie."]
    assert list(spoken.values()) == [near(0), near(13), near(26)]
    assert text.startswith("## 0:00:00 – 0:00:")
    assert "Thank you for watching" not in text, "what the model itself doubts to be speech"
    seen = {line.text: line.start_s for line in heard.lines if line.seen}
    assert seen == ({"A red wall.": near(0), "A green wall.": near(20), "A blue wall.": near(30)} if shown else {})
    if shown:
        assert re.search(r"We speak of bravo\.\n\nSeen at 0:00:2[01]: A green wall\.\n\nWe speak of charlie\.", text)


async def test_a_long_recording_is_cut_in_pauses_and_no_second_is_lost() -> None:
    said = [(word, seconds) for word in ("alpha", "bravo", "charlie", "delta") for seconds in ([7.0])]
    with_pauses = [one for pair in said for one in (pair, ("silence", 1.0))]
    parse = extractor()
    for raw in (wav(with_pauses, 44_100), encoded("mp3", with_pauses, codecs=("libmp3lame", ""))):
        start, sounds, spans = 0.0, b"", []
        while True:
            part = await parse.sound(raw, start, 10.0)
            assert part.start_s == pytest.approx(start, abs=0.01)
            heard = array("h", part.sound[44:])
            beginning, end = heard[: RATE // 10], heard[-RATE // 10 :]
            assert not start or max(beginning, default=0) < 100
            assert part.ended or max(end) < 100, "each cut lies in a pause"
            spans.append((part.start_s, part.end_s))
            sounds += part.sound[44:]
            start = part.end_s
            if part.ended:
                break
        assert len(spans) == 4
        assert spans[-1][1] == pytest.approx(32.0, abs=0.2)
        assert len(sounds) / 2 / RATE == pytest.approx(32.0, abs=1.2), "a silent end is not sent"


async def test_a_model_without_times_is_asked_for_minutes_and_told_so_once() -> None:
    raw = wav([("alpha", 80.0), ("silence", 1.0), ("bravo", 20.0)])
    with speech_provider() as speech:
        speech.timed = False
        async with transcriber(speech) as recordings:
            heard, text = await read(recordings, raw, "talk.wav")
            asked = [form["response_format"] for form in speech.heard]
            again, _ = await read(recordings, raw, "talk.wav")
    assert asked == ["verbose_json", "json", "json"]
    assert [form["response_format"] for form in speech.heard[3:]] == ["json", "json"]
    assert again == heard
    assert len(heard.sound) == 2
    assert text.count("## ") == 2
    assert "We speak of alpha. We speak of bravo." in text


async def test_without_a_decoder_a_file_goes_to_the_model_as_it_is_or_is_refused_with_what_to_do() -> None:
    raw = wav(TALK)
    with speech_provider() as speech:
        async with transcriber(speech, decodes=False) as recordings:
            heard, _ = await read(recordings, raw, "My Talk.WAV")
            assert (speech.heard[0]["file"], speech.heard[0]["filename"]) == (raw, "recording.wav")
            assert [round(line.end_s) for line in heard.lines] == [12, 25, 38]
            assert not heard.pictures[0].lines
            with pytest.raises(
                DocumentUnreadable, match=r"has to be decoded first\. Install the service's extra `video`"
            ):
                await recordings.hear(raw, "film.mkv", 0.0)
        async with transcriber(speech, decodes=False, most_bytes=100_000) as recordings:
            with pytest.raises(DocumentTooLarge, match=r"takes 100000 bytes at most\. Install"):
                await recordings.hear(raw, "talk.wav", 0.0)
        assert len(speech.heard) == 1


async def test_no_part_is_larger_than_the_model_takes_and_silence_costs_nothing() -> None:
    with speech_provider() as speech:
        async with transcriber(speech, most_bytes=400_000) as recordings:
            await read(recordings, wav(TALK), "talk.wav")
            assert max(len(form["file"]) for form in speech.heard) <= 400_000
            assert len(speech.heard) > 3
            speech.heard.clear()
            heard, _ = await read(recordings, wav([("silence", 30.0)]), "quiet.wav")
    assert not heard.lines
    assert speech.heard == []


@pytest.mark.parametrize(
    ("status", "error", "reason"),
    [
        (400, DocumentUnreadable, r'refuses the recording: "The audio file could not be decoded\."'),
        (413, DocumentUnreadable, "refuses the recording"),
        (401, DependencyUnavailable, "status 401"),
        (404, DependencyUnavailable, "status 404"),
        (429, DependencyUnavailable, "status 429"),
        (500, TranscriptionFailed, "status 500"),
        (503, DependencyUnavailable, "status 503"),
    ],
)
async def test_what_a_model_answers_decides_whether_a_recording_fails_or_waits(
    status: int, error: type[Exception], reason: str
) -> None:
    with speech_provider() as speech:
        speech.status = status
        async with transcriber(speech) as recordings:
            with pytest.raises(error, match=reason):
                await recordings.hear(wav([("alpha", 2.0)]), "talk.wav", 0.0)


async def test_a_model_that_hangs_is_given_up_and_one_that_is_not_there_is_waited_for() -> None:
    raw = wav([("alpha", 1.0)])
    with speech_provider() as speech:
        speech.hold_at = 1
        async with transcriber(speech, timeout_s=0.2) as recordings:
            with pytest.raises(TranscriptionFailed, match="did not answer in time"):
                await recordings.hear(raw, "talk.wav", 0.0)
    async with transcriber(Speech(f"http://127.0.0.1:{free_port()}/v1")) as recordings:
        with pytest.raises(DependencyUnavailable, match="cannot be reached"):
            await recordings.hear(raw, "talk.wav", 0.0)


def _truncated() -> bytes:
    return encoded("mp4", TALK, SCENES)[:20_000]  # its index stands at the end


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "no recording that is read"),
        (b"#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n", "no recording that is read"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "no recording that is read"),
        (b"RIFF\x24\x00\x00\x00WAVE" + b"junk" * 100, "is broken"),
        (b"ID3" + b"\x00" * 1000, "is broken"),
        (b"\x1a\x45\xdf\xa3" + b"\xff" * 1000, "is broken"),
        (_truncated(), "is broken"),
        (wav([]), "is broken"),
    ],
)
async def test_hostile_and_broken_recordings_are_refused_with_a_sentence(raw: bytes, reason: str) -> None:
    with pytest.raises(DocumentUnreadable, match=reason):
        await extractor().sound(raw, 0.0, 600.0)


async def test_damage_in_the_middle_costs_its_own_seconds_and_limits_hold() -> None:
    whole = encoded("mp3", [("alpha", 10.0), ("bravo", 10.0)], codecs=("libmp3lame", ""))
    middle = len(whole) // 2
    part = await extractor().sound(whole[:middle] + b"\xa5" * 2000 + whole[middle + 2000 :], 0.0, 600.0)
    assert {word for _, _, word in words_in(part.sound)} >= {"alpha", "bravo"}
    film = encoded("mp4", TALK, SCENES)
    with pytest.raises(DocumentTooLarge, match="more than 1000 pixels"):
        await extractor(max_pixels=1000).pictures(film, 0.0, 60)
    with pytest.raises(DocumentUnreadable, match=r"MiB to parse|ended without a result"):
        await extractor(memory_mb=64).sound(film, 0.0, 600.0)


async def test_videos_without_sound_are_seen_and_songs_with_a_cover_are_not() -> None:
    silent = encoded("mp4", (), SCENES)
    song = io.BytesIO()
    with (
        av.open(song, "w", format="mp3") as out,
        av.open(io.BytesIO(encoded("mp3", TALK, codecs=("libmp3lame", "")))) as read_from,
    ):
        copied = out.add_stream_from_template(read_from.streams.audio[0])
        cover = out.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 64, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        for packet in read_from.demux(read_from.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = copied
                out.mux(packet)
    with speech_provider() as speech:
        async with transcriber(speech) as recordings:
            heard, text = await read(recordings, silent, "film.mp4")
            assert (speech.heard, len(heard.lines)) == ([], 3)
            assert (
                text.startswith("## 0:00:00\n\nSeen at 0:00:00: A red wall.") or "Seen at 0:00:00: A red wall." in text
            )
            assert not (await recordings.look(song.getvalue(), 0.0)).lines
        async with transcriber(speech, sees=False) as recordings:
            assert not (await recordings.look(silent, 0.0)).lines


async def test_a_long_film_gives_no_more_pictures_than_allowed() -> None:
    scenes = [(colour, 10.0) for colour in ("red", "green", "blue") * 8]
    film = encoded("mp4", (), scenes)
    with speech_provider() as speech:
        async with transcriber(speech, most_pictures=6) as recordings:
            heard, _ = await read(recordings, film, "film.mp4")
        assert speech.looked == 6
        async with transcriber(speech) as recordings:
            every, _ = await read(recordings, film, "film.mp4")
    assert len(heard.lines) == 6
    assert len(every.lines) == 24
    assert len(every.pictures) > 1, "eight pictures a step: a crash costs no more"


@pytest.fixture
def opened() -> list[Deps]:
    """What the application opened."""
    return []


@pytest.fixture
async def hearing(tmp_path: Path, opened: list[Deps]) -> AsyncIterator[httpx.AsyncClient]:
    """The real application, with a speech model that nobody asks here."""
    platform = platform_settings(tmp_path, redis_url=f"redis://127.0.0.1:{free_port()}/0")
    await upgrade(platform, "retrieval", MIGRATIONS)
    settings = RetrievalSettings(
        _env_file=None,
        max_document_bytes=2000,
        max_recording_bytes=100_000,
        transcription_url=f"http://127.0.0.1:{free_port()}/v1",
        huge_pages=False,
    )

    @asynccontextmanager
    async def noted() -> AsyncIterator[Deps]:
        async with open_deps(platform, settings) as deps:
            opened.append(deps)
            yield deps

    async with asgi_client(create_app(noted)) as client:
        yield client


async def send(
    api: httpx.AsyncClient, store: str, name: str, raw: bytes, headers: dict[str, str] = ACME
) -> httpx.Response:
    return await api.post(f"/v1/vector_stores/{store}/documents", files={"file": (name, raw)}, headers=headers)


async def test_few_recordings_are_in_memory_at_once_and_texts_pass_them(
    hearing: httpx.AsyncClient, opened: list[Deps]
) -> None:
    store, room = await make_store(hearing), opened[0].room
    raw = wav([("alpha", 2.0)])
    async with room, room:
        waiting = asyncio.create_task(send(hearing, store, "talk.wav", raw))
        assert (await send(hearing, store, "notes.txt", b"hello")).status_code == 202
        await asyncio.sleep(0.1)
        assert not waiting.done()
    assert (await waiting).status_code == 202
    refused = await send(hearing, "vs_none", "talk.wav", raw)
    assert refused.status_code == 404
    assert not room.locked(), "what was refused makes room, too"
    async with room, room:
        pass


async def test_a_recording_is_queued_and_its_limits_are_its_own(hearing: httpx.AsyncClient) -> None:
    store = await make_store(hearing)
    raw = wav([("alpha", 2.0)])
    added = await send(hearing, store, "talk.WAV", raw)
    assert added.status_code == 202, added.text
    shown = added.json()
    assert (shown["status"], shown["bytes"], shown["transcribed_s"]) == ("queued", len(raw), None)
    path = f"/v1/vector_stores/{store}/documents/{shown['id']}"
    unread = await hearing.get(f"{path}/content", headers=ACME)
    assert (unread.status_code, unread.json()["code"]) == (404, "document_not_found")
    assert (await hearing.get(path, headers=OTHER)).status_code == 404
    large = await send(hearing, store, "talk.wav", bytes(100_001))
    assert (large.status_code, large.json()["code"]) == (413, "document_too_large")
    assert "SLUICE_RETRIEVAL_MAX_RECORDING_BYTES" in large.json()["detail"]
    text = await send(hearing, store, "notes.txt", bytes(2001))
    assert "SLUICE_RETRIEVAL_MAX_DOCUMENT_BYTES" in text.json()["detail"]
    film = await send(hearing, store, "film.mp4", bytes(200_000))  # is refused before its kind is known
    assert film.status_code == 413
    assert (
        "a recording may have 100000 bytes (SLUICE_RETRIEVAL_MAX_RECORDING_BYTES), any other 2000 ("
        in film.json()["detail"]
    )
    assert (await hearing.delete(path, headers=ACME)).status_code == 200


async def test_a_store_may_let_no_model_hear_its_recordings(hearing: httpx.AsyncClient) -> None:
    made = await hearing.post("/v1/vector_stores", json={"captions": False}, headers=ACME)
    refused = await send(hearing, made.json()["id"], "talk.wav", wav([("alpha", 1.0)]))
    assert (refused.status_code, refused.json()["code"]) == (400, "document_unreadable")
    assert "`captions` is false" in refused.json()["detail"]
