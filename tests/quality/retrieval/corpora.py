"""Corpora with questions and the exact spans that answer them, read from the files that their makers publish.

None of them is part of this repository. Check out, side by side below one folder:

- brandonstarxel/chunking_evaluation (MIT): five corpora (chat logs, finance, medicine, a speech, Wikipedia) and 472 questions;
- google-deepmind/xquad (CC BY-SA 4.0): English XQuAD, 240 paragraphs and 1,190 questions;
- deepset-ai/COVID-QA (Apache-2.0): questions of medical experts on articles; used for development only.
"""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple


class Span(NamedTuple):
    """Characters `start` to `end`, exclusive, of a document."""

    document: str
    start: int
    end: int


class Question(NamedTuple):
    """A question and where its answer stands."""

    text: str
    spans: tuple[Span, ...]


class Corpus(NamedTuple):
    """Documents by name, and questions about them."""

    name: str
    documents: dict[str, str]
    questions: list[Question]


def test_corpora(folder: Path) -> list[Corpus]:
    """Return the corpora that figures are reported on; nothing is tuned on them."""
    return [*_chunking_evaluation(folder / "chunking_evaluation"), _squad("xquad-en", folder / "xquad/xquad.en.json")]


def development_corpora(folder: Path, articles: int = 25) -> list[Corpus]:
    """Return what weights are learned on: the first articles of COVID-QA that are not too long."""
    file = folder / "COVID-QA/data/question-answering/200423_covidQA.json"
    return [_squad("covid-qa", file, articles, longest=40_000)]


test_corpora.__test__ = False  # type: ignore[attr-defined]  # no test, in spite of its name


def _chunking_evaluation(folder: Path) -> Iterator[Corpus]:
    base = folder / "chunking_evaluation/evaluation_framework/general_evaluation_data"
    with (base / "questions_df.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for path in sorted((base / "corpora").glob("*.md")):
        text = path.read_text(encoding="utf-8")
        questions = []
        for row in rows:
            if row["corpus_id"] != path.stem:
                continue
            spans = (Span(path.name, one["start_index"], one["end_index"]) for one in json.loads(row["references"]))
            questions.append(Question(row["question"], tuple(spans)))
        yield Corpus(path.stem, {path.name: text}, questions)


def _squad(name: str, file: Path, articles: int | None = None, longest: int | None = None) -> Corpus:
    found: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))["data"]
    documents: dict[str, str] = {}
    questions: list[Question] = []
    for number, article in enumerate(found):
        paragraphs = article["paragraphs"]
        if longest is not None and sum(len(paragraph["context"]) for paragraph in paragraphs) > longest:
            continue
        if articles is not None and len({key.partition(".")[0] for key in documents}) >= articles:
            break
        for at, paragraph in enumerate(paragraphs):
            document = f"{number}.{at}"
            documents[document] = paragraph["context"]
            for asked in paragraph["qas"]:
                first = asked["answers"][0] if asked["answers"] else None
                if first is not None and first["text"].strip():
                    start = int(first["answer_start"])
                    span = Span(document, start, start + len(first["text"]))
                    questions.append(Question(asked["question"].strip(), (span,)))
    return Corpus(name, documents, questions)
