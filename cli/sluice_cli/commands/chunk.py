"""`sluice chunk`: which way of cutting documents finds the answers to one's own questions best."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NamedTuple, get_args

import typer

from sluice.contracts.retrieval import ChunkingStrategy
from sluice_cli.client import Gateway, every, path_of
from sluice_cli.documents import files_of, send
from sluice_cli.output import say, show_table
from sluice_cli.platform.errors import CommandFailed, Refused
from sluice_cli.settings import CliSettings

_POLL_S = 0.5
_DEPTH = 10


class _Question(NamedTuple):
    question: str
    answer: str
    source: str | None


class Comparison(NamedTuple):
    """What the command was given beside files and questions."""

    strategies: Sequence[str]
    max_tokens: int
    overlap_tokens: int
    mode: str
    rerank: str
    wait_s: float


class _Filled(NamedTuple):
    """Chunks of a store, and what could not be ingested, with the reasons."""

    chunks: int
    failed: dict[str, str]


class _Row(NamedTuple):
    """What one strategy came to: shares of the questions, the mean of 1/rank, and characters of context read for an answer."""

    chunks: int
    first: float
    five: float
    mrr: float
    characters: float


def chunk(
    paths: Annotated[list[Path], typer.Argument(help="files or folders to try it on", exists=True)],
    questions: Annotated[
        Path,
        typer.Option(
            help='lines of JSON: {"question": …, "answer": a phrase of the document, "source": its name (if several have the phrase)}',
            exists=True,
        ),
    ],
    compare: Annotated[
        str, typer.Option(help="strategies to compare, separated by commas")
    ] = "fixed,sentence,paragraph,recursive,semantic",
    max_tokens: Annotated[int, typer.Option(min=16, max=512, help="longest chunk")] = 200,
    overlap_tokens: Annotated[int, typer.Option(min=0, max=256, help="overlap where a strategy has one")] = 30,
    mode: Annotated[str, typer.Option(help="hybrid, dense or bm25")] = "hybrid",
    rerank: Annotated[str, typer.Option(help="none, features or model")] = "none",
    wait_s: Annotated[
        float, typer.Option("--wait", min=1, help="seconds to wait for each strategy's indexing")
    ] = 600.0,
) -> None:
    """Measure ways of chunking on your own documents and questions; the stores that it makes are deleted again."""
    strategies = [name.strip() for name in compare.split(",") if name.strip()]
    if unknown := [name for name in strategies if name not in get_args(ChunkingStrategy)]:
        raise CommandFailed(f"There is no strategy {unknown[0]!r}; there are {', '.join(get_args(ChunkingStrategy))}.")
    wish = Comparison(strategies, max_tokens, overlap_tokens, mode, rerank, wait_s)
    compare_chunking(Gateway.from_settings(CliSettings()), paths, questions, wish)


def compare_chunking(gateway: Gateway, paths: Sequence[Path], questions: Path, wish: Comparison) -> None:
    """Do what the command does, through this gateway."""
    named = files_of(paths, []).files
    files = {name: path for name, path in named.items() if not path.samefile(questions)}  # it has all the answers
    if not files:
        raise CommandFailed("There is no file of a known type in what you named.")
    asked = _questions(questions)
    rows: dict[str, _Row] = {}
    for strategy in wish.strategies:
        chunking = {
            "strategy": strategy,
            "max_tokens": wish.max_tokens,
            "overlap_tokens": wish.overlap_tokens,
        }
        with _store(gateway, chunking) as store_id:
            filled = _filled(gateway, store_id, files, wish.wait_s)
            for name, reason in filled.failed.items():
                say(f"{name} is left out from here on: {reason}")
            files = {name: path for name, path in files.items() if name not in filled.failed}
            asked = _answerable(gateway, store_id, asked)
            search = {"top_k": _DEPTH, "mode": wish.mode, "rerank": wish.rerank}
            rows[strategy] = _measured(gateway, store_id, asked, search, filled.chunks)
    show_table(
        ("strategy", "chunks", "recall@1", "recall@5", "MRR@10", "characters read"),
        [
            (name, str(row.chunks), f"{row.first:.2f}", f"{row.five:.2f}", f"{row.mrr:.2f}", f"{row.characters:.0f}")
            for name, row in rows.items()
        ],
    )


def _questions(path: Path) -> list[_Question]:
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            found.append(_Question(str(row["question"]), str(row["answer"]), row.get("source")))
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            raise CommandFailed(f"{path}, line {number}: write an object with `question` and `answer`.") from exc
    if not found:
        raise CommandFailed(f"{path} holds no question.")
    return found


@contextmanager
def _store(gateway: Gateway, chunking: Mapping[str, Any]) -> Iterator[str]:
    body = {"name": f"chunk comparison: {chunking['strategy']}", "chunking": chunking}
    store_id = str(gateway.user("POST", "/v1/vector_stores", json=body)["id"])
    try:
        yield store_id
    finally:
        gateway.user("DELETE", path_of("/v1/vector_stores", store_id))


def _filled(gateway: Gateway, store_id: str, files: Mapping[str, Path], wait_s: float) -> _Filled:
    """Send the files and wait until all are indexed."""
    failed: dict[str, str] = {}
    for name, path in files.items():
        try:
            send(gateway, store_id, name, path.name, path.read_bytes(), {})
        except Refused as exc:
            failed[name] = exc.said
    if len(failed) == len(files):
        raise CommandFailed(f"None of the files could be sent. {next(iter(failed.values()))}")
    deadline = time.monotonic() + wait_s
    while True:
        documents = list(every(gateway.user, path_of("/v1/vector_stores", store_id, "documents")))
        if all(one["status"] in {"ready", "failed"} for one in documents):
            failed |= {one["name"]: one["error"] for one in documents if one["status"] == "failed"}
            return _Filled(sum(one["chunks"] for one in documents if one["status"] == "ready"), failed)
        if time.monotonic() > deadline:
            raise CommandFailed(f"The documents were not indexed within {wait_s:.0f} s. Give more with --wait.")
        time.sleep(_POLL_S)


def _answerable(gateway: Gateway, store_id: str, asked: Sequence[_Question]) -> list[_Question]:
    """Return the questions whose answers stand in a document; the others are told: no way of cutting finds them."""
    path = path_of("/v1/vector_stores", store_id, "documents")
    found: set[_Question] = set()
    for document in every(gateway.user, path, {"status": "ready"}):
        text = _spaced("".join(_parts(gateway, f"{path}/{document['id']}/content")))
        found |= {one for one in asked if one.source in (None, document["name"]) and _spaced(one.answer) in text}
    for one in asked:
        if one not in found:
            where = one.source or "any of the documents"
            say(f"{one.question!r} is left out from here on: the phrase {one.answer!r} does not stand in {where}.")
    if not found:
        raise CommandFailed("None of the answers stands in a document: write phrases as the documents have them.")
    return [one for one in asked if one in found]


def _parts(gateway: Gateway, path: str) -> Iterator[str]:
    at, length = 0, 1
    while at < length:
        part = gateway.user("GET", path, params={"start": at, "length": 1_000_000})
        yield part["text"]
        at, length = part["end"], part["length"]


def _spaced(text: str) -> str:
    return " ".join(text.split())


def _measured(
    gateway: Gateway, store_id: str, asked: Sequence[_Question], search: Mapping[str, Any], chunks: int
) -> _Row:
    ranks: list[int | None] = []
    read: list[int] = []
    for one in asked:
        found = gateway.user(
            "POST", path_of("/v1/vector_stores", store_id, "search"), json={"query": one.question, **search}
        )
        hits = found["data"]
        rank = next((at for at, hit in enumerate(hits, start=1) if _answers(hit, one)), None)
        ranks.append(rank)
        if rank is not None:
            read.append(sum(len(hit["text"]) for hit in hits[:rank]))
    count = len(ranks)
    return _Row(
        chunks,
        sum(rank == 1 for rank in ranks) / count,
        sum(rank is not None and rank <= 5 for rank in ranks) / count,
        sum(1 / rank for rank in ranks if rank) / count,
        sum(read) / len(read) if read else 0.0,
    )


def _answers(hit: Mapping[str, Any], asked: _Question) -> bool:
    if asked.source is not None and hit["source"] != asked.source:
        return False
    return _spaced(asked.answer) in _spaced(hit["text"])
