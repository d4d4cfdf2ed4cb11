"""`sluice ingest` against a gateway in memory: what is sent again, what holds up what, and what is said at the end."""

import hashlib
import itertools
from pathlib import Path
from typing import Any, cast

from sluice_cli.client import Gateway
from sluice_cli.commands.ingest import Wish, ingest_into
from sluice_cli.platform.errors import CommandFailed, Refused

STORE = "/v1/vector_stores/vs_1"


class Documents:
    """A gateway that knows one store; `states` tells what becomes of the documents of a name."""

    def __init__(self, states: dict[str, dict[str, Any]]) -> None:
        self.states = states
        self.rows: dict[str, dict[str, Any]] = {}
        self.looks: list[str] = []
        self._numbers = itertools.count()

    def user(self, method: str, path: str, **options: Any) -> Any:
        if path == "/v1/vector_stores":
            return {"data": [{"id": "vs_1", "name": "handbook"}], "has_more": False}
        if method == "POST":
            return self._add(options["data"]["name"], options["files"]["file"][1])
        if path == f"{STORE}/documents":
            return {"data": sorted(self.rows.values(), key=lambda row: row["id"], reverse=True), "has_more": False}
        document_id = path.rpartition("/")[2]
        if method == "DELETE":
            return self.rows.pop(document_id)
        self.looks.append(self.rows[document_id]["name"] if document_id in self.rows else document_id)
        if document_id not in self.rows:
            raise Refused(f"{method} {path} was refused with 404: There is none.", "There is none.", 404)
        return self.rows[document_id]

    def _add(self, name: str, raw: bytes) -> dict[str, Any]:
        if raw == b"refused":
            raise Refused("POST … was refused with 400: The document is empty.", "The document is empty.", 400)
        row: dict[str, Any] = {
            "id": f"doc_{next(self._numbers):03}",
            "name": name,
            "sha256": hashlib.sha256(raw).hexdigest(),
        }
        row |= {"metadata": {}, "error": None, "status": "ready", **self.states.get(name, {})}
        if not row.pop("gone", False):
            self.rows[row["id"]] = row
        return row


def run(gateway: Documents, folder: Path, *, delete: bool = False, wait_s: float = 0.01) -> str:
    """Return how the command ended."""
    try:
        ingest_into(cast("Gateway", gateway), [folder], Wish("handbook", wait_s, [], {}, delete))
    except CommandFailed as exc:
        return str(exc)
    return ""


def folder_of(tmp_path: Path, **texts: str) -> Path:
    for name, text in texts.items():
        (tmp_path / f"{name}.txt").write_text(text)
    return tmp_path


def test_one_that_waits_holds_up_nothing_behind_it(tmp_path: Path) -> None:
    waits = {"status": "queued", "error": "The speech model is away."}
    gateway = Documents({"a.txt": waits, "c.txt": {"status": "failed", "error": "No words."}, "d.txt": {"gone": True}})
    said = run(gateway, folder_of(tmp_path, a="one", b="two", c="three", d="four"))
    assert said.splitlines() == [
        "1 documents were not indexed within 0 s; they go on in the background.",
        "  a.txt waits: The speech model is away.",
        "2 of the files could not be ingested:",
        "  c.txt: No words.",
        "  d.txt: It was deleted or replaced while it was waited for.",
    ]


def test_a_long_queue_is_not_asked_for_one_by_one(tmp_path: Path) -> None:
    gateway = Documents({f"f{at:02}.txt": {"status": "queued"} for at in range(50)})
    folder = folder_of(tmp_path, **{f"f{at:02}": str(at) for at in range(50)})
    said = run(gateway, folder, wait_s=0.4)
    assert said.startswith("50 documents were not indexed")
    assert gateway.looks == [f"f{at:02}.txt" for at in (*range(20), *range(50))]


def test_a_refusal_is_told_in_its_own_words(tmp_path: Path) -> None:
    said = run(Documents({}), folder_of(tmp_path, a="one", b="refused"))
    assert said == "1 of the files could not be ingested:\n  b.txt: The document is empty."


def test_what_has_not_changed_is_not_sent_again_and_what_is_gone_leaves_whole(tmp_path: Path) -> None:
    gateway = Documents({})
    folder = folder_of(tmp_path, a="one", b="two")
    assert not run(gateway, folder)
    gateway.states["b.txt"] = {"status": "failed", "error": "No words."}
    assert "b.txt: No words." in run(gateway, folder_of(tmp_path, b="new"))
    names = sorted(row["name"] for row in gateway.rows.values())  # files are sent side by side
    assert names == ["a.txt", "b.txt", "b.txt"], "a.txt was left alone"
    (tmp_path / "b.txt").unlink()
    assert not run(gateway, folder, delete=True)
    assert [row["name"] for row in gateway.rows.values()] == ["a.txt"]
