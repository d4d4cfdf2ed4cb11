"""`sluice chunk` against a gateway in memory: which files and questions count."""

import itertools
import json
from pathlib import Path
from typing import Any, cast

import pytest

from sluice_cli.client import Gateway
from sluice_cli.commands.chunk import Comparison, compare_chunking
from sluice_cli.platform.errors import CommandFailed, Refused


class Stores:
    """A gateway whose stores find every document whole, in the order of their names."""

    def __init__(self) -> None:
        self.stores: dict[str, dict[str, str]] = {}
        self._numbers = itertools.count()

    def user(self, method: str, path: str, **options: Any) -> Any:
        if path == "/v1/vector_stores":
            store_id = f"vs_{next(self._numbers)}"
            self.stores[store_id] = {}
            return {"id": store_id}
        _, _, _, store_id, *rest = path.split("/")
        texts = self.stores[store_id]
        if not rest:
            return self.stores.pop(store_id)
        if rest == ["search"]:
            return {"data": [{"source": name, "text": texts[name]} for name in sorted(texts)]}
        if method == "POST":
            return self._add(texts, options["data"]["name"], options["files"]["file"][1])
        if len(rest) == 1:
            rows = [{"id": name, "name": name, "status": "ready", "chunks": 1, "error": None} for name in texts]
            return {"data": rows, "has_more": False}
        at, text = options["params"]["start"], texts[rest[1]]
        return {"text": text[at : at + 7], "end": min(at + 7, len(text)), "length": len(text)}

    def _add(self, texts: dict[str, str], name: str, raw: bytes) -> dict[str, Any]:
        if not raw:
            raise Refused("POST … was refused with 400: The document is empty.", "The document is empty.", 400)
        texts[name] = raw.decode()
        return {"id": name}


def test_what_cannot_be_found_by_any_way_is_told_and_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {"a.txt": "The crane lifts\n  ten tonnes.", "b.txt": "The pilot waits.", "c.txt": ""}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    questions = [("lifts?", "lifts ten tonnes", None), ("who?", "pilot waits", "b.txt"), ("who not?", "pilot", "a.txt")]
    gateway = Stores()
    wish = Comparison(["paragraph", "rows"], 200, 30, "hybrid", "none", 1.0)
    compare_chunking(cast("Gateway", gateway), [tmp_path], asked(tmp_path, questions), wish)
    said = capsys.readouterr().out
    assert said.splitlines()[:2] == [
        "c.txt is left out from here on: The document is empty.",
        "'who not?' is left out from here on: the phrase 'pilot' does not stand in a.txt.",
    ]
    rows = [line.split() for line in said.splitlines()[3:]]
    assert rows == [[name, "2", "0.50", "1.00", "0.75", "37"] for name in ("paragraph", "rows")]
    assert not gateway.stores, "the stores are deleted again"


def test_questions_without_any_answer_end_the_command(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("The crane lifts ten tonnes.")
    gateway = Stores()
    wish = Comparison(["paragraph"], 200, 30, "hybrid", "none", 1.0)
    with pytest.raises(CommandFailed, match="None of the answers stands in a document"):
        compare_chunking(cast("Gateway", gateway), [tmp_path], asked(tmp_path, [("why?", "so", None)]), wish)
    assert not gateway.stores


def asked(tmp_path: Path, questions: list[tuple[str, str, str | None]]) -> Path:
    file = tmp_path / "questions.jsonl"
    rows = (dict(zip(("question", "answer", "source"), row, strict=True)) for row in questions)
    file.write_text("\n".join(json.dumps(row) for row in rows))
    return file
