"""Recordings as they are deployed: a worker that has them written down through the gateway, and is killed in the middle."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.bench.retrieval.parts import running
from tests.integration.retrieval.speech_server import KEY, Speech, encoded, speech_provider, wav

from sluice.testing import wait_until

pytestmark = pytest.mark.integration
TALK = [("alpha", 70.0), ("silence", 1.0), ("bravo", 60.0), ("silence", 1.0), ("charlie", 60.0)]


def hearing(speech: Speech, **more: str) -> dict[str, str]:
    settings = {
        "TRANSCRIPTION_URL": speech.url,
        "TRANSCRIPTION_MODEL": "whisper-1",
        "TRANSCRIPTION_API_KEY": KEY,
        **more,
    }
    return {f"SLUICE_RETRIEVAL_{name}": value for name, value in settings.items()}


def send(retrieval: Any, store: str, name: str, raw: bytes) -> str:
    made = retrieval.client.post(f"/v1/vector_stores/{store}/documents", files={"file": (name, raw)})
    assert made.status_code == 202, made.text
    return str(made.json()["id"])


def test_a_video_is_found_by_what_is_said_and_shown_and_cited_with_its_time(tmp_path: Path) -> None:
    with running(tmp_path) as retrieval, speech_provider() as speech:
        speech.key = ""  # the gateway, which stands before it, has one of its own
        gateway = retrieval.gateway(speech.url, "whisper-1", kind="transcription")
        url = f"{gateway.url}/v1"
        seen = {"CAPTION_URL": speech.url, "CAPTION_MODEL": "seer", "CAPTION_API_KEY": KEY}
        retrieval.settings |= hearing(speech, TRANSCRIPTION_API_KEY=gateway.key, **seen)
        retrieval.settings["SLUICE_RETRIEVAL_TRANSCRIPTION_URL"] = url
        retrieval.serve()
        retrieval.work()
        store = retrieval.store()
        film = encoded("mp4", TALK, [("red", 100.0), ("green", 92.0)])
        ready = retrieval.wait_for(store, send(retrieval, store, "film.mp4", film))
        assert ready["transcribed_s"] == pytest.approx(192, abs=1)
        content = retrieval.client.get(f"/v1/vector_stores/{store}/documents/{ready['id']}/content").json()["text"]
        best = retrieval.search(store, "who speaks of bravo?", mode="bm25")[0]
        assert best["text"] == content[best["start"] : best["end"]]
        assert "We speak of bravo." in best["text"]
        assert best["time"]["start_s"] <= 71 < best["time"]["end_s"] <= 132
        assert best["heading"] in content
        asked = {"query": "a green wall", "vector_store_ids": [store], "mode": "bm25", "top_k": 1}
        [cited] = retrieval.client.post("/v1/context", json=asked).json()["citations"]
        assert "Seen at 0:01:40: A green wall." in cited["quote"]
        assert cited["time"]["start_s"] <= 100 < cited["time"]["end_s"]
        # The same bytes as a file of the gateway, which a worker reads.
        headers = {"authorization": f"Bearer {gateway.key}"}
        files = {"file": ("again.mkv", encoded("matroska", [("delta", 3.0)], codecs=("flac", "")))}
        sent = httpx.post(
            f"{url}/files", data={"purpose": "user_data"}, files=files, headers=headers, trust_env=False, timeout=60
        )
        added = retrieval.client.post(f"/v1/vector_stores/{store}/files", json={"file_id": sent.json()["id"]}).json()
        retrieval.wait_for(store, added["document_id"])
        assert retrieval.search(store, "delta", mode="bm25")[0]["time"] == {"start_s": 0, "end_s": 3}
        failed = send(retrieval, store, "broken.mp3", b"ID3" + bytes(2000))
        assert "is broken" in retrieval.wait_for(store, failed, "failed")["error"]
        nothing = send(retrieval, store, "quiet.wav", wav([("silence", 2.0)]))
        assert retrieval.wait_for(store, nothing, "failed")["error"] == "Nothing is said in the recording."


def test_what_was_written_down_before_a_kill_is_not_asked_for_again(tmp_path: Path) -> None:
    with running(tmp_path) as retrieval, speech_provider() as speech:
        speech.timed = False  # parts of a minute
        speech.hold_at = 4  # verbose_json refused, two parts, and the third one hangs
        retrieval.settings |= hearing(speech)
        retrieval.serve()
        worker = retrieval.work()
        store = retrieval.store()
        document = send(retrieval, store, "talk.wav", wav(TALK))
        wait_until(lambda: len(speech.heard) == 4, seconds=60, what="the third part being asked for")
        assert 60 < retrieval.document(store, document)["transcribed_s"] < 120
        worker.kill()
        speech.hold_at = 1_000_000
        speech.released.set()
        before = {form["file"] for form in speech.heard[1:3]}
        retrieval.work()
        ready = retrieval.wait_for(store, document, seconds=90)
        text = retrieval.client.get(f"/v1/vector_stores/{store}/documents/{document}/content").json()["text"]
        assert [word in text for word in ("alpha", "bravo", "charlie")] == [True] * 3
        assert not before & {form["file"] for form in speech.heard[4:]}
        assert ready["transcribed_s"] == pytest.approx(192, abs=1)


def test_of_a_recording_that_is_deleted_no_more_is_asked_for(tmp_path: Path) -> None:
    with running(tmp_path) as retrieval, speech_provider() as speech:
        speech.timed = False
        speech.hold_at = 2
        retrieval.settings |= hearing(speech)
        retrieval.serve()
        retrieval.work()
        store = retrieval.store()
        document = send(retrieval, store, "talk.wav", wav(TALK))
        wait_until(lambda: len(speech.heard) == 2, seconds=60, what="the first part being asked for")
        path = f"/v1/vector_stores/{store}/documents"
        assert retrieval.client.delete(f"{path}/{document}").status_code == 200
        speech.released.set()
        later = send(retrieval, store, "short.wav", wav([("delta", 2.0)]))
        retrieval.wait_for(store, later)
        long = [form["response_format"] for form in speech.heard if len(form["file"]) > 100_000]
        assert long == ["verbose_json", "json"], "the part that hung, and none of those after it"
        assert [one["id"] for one in retrieval.documents(store)] == [later]
