"""`sluice ingest`, `search` and `feedback`."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress

from sluice_cli.client import Gateway, every
from sluice_cli.output import console, say, show_json, show_table
from sluice_cli.platform.errors import CommandFailed
from sluice_cli.settings import CliSettings

_MEDIA_TYPES = {".md": "text/markdown", ".markdown": "text/markdown", ".txt": "text/plain"}
_POLL_S = 0.5


def ingest(
    paths: Annotated[list[Path], typer.Argument(help="files or folders with .md and .txt files", exists=True)],
    store: Annotated[
        str, typer.Option(help="name of the vector store; made if there is none of that name")
    ] = "default",
    wait_s: Annotated[
        float, typer.Option("--wait", min=0, help="seconds to wait until all is indexed; 0 does not wait")
    ] = 600.0,
) -> None:
    """Put documents into a vector store and wait until they can be found."""
    gateway = Gateway.from_settings(CliSettings())
    files = list(_documents(paths))
    if not files:
        raise CommandFailed("There is no .md or .txt file in what you named.")
    store_id = _store_id(gateway, store)
    with Progress(console=console) as progress:
        sending = progress.add_task("sending", total=len(files))
        sent = []
        for name, path in files:
            sent.append(_send(gateway, store_id, name, path))
            progress.advance(sending)
        if wait_s:
            _wait(gateway, store_id, sent, wait_s, progress)
    say(f"{len(sent)} documents are in vector store {store_id} ({store}).")


def search(
    store_id: Annotated[str, typer.Argument(help="the vector store's id")],
    query: Annotated[str, typer.Argument(help="what to look for")],
    top_k: Annotated[int, typer.Option(min=1, max=50, help="how many chunks")] = 5,
    mode: Annotated[str, typer.Option(help="hybrid, dense or bm25")] = "hybrid",
) -> None:
    """Find the chunks of a vector store that match best."""
    gateway = Gateway.from_settings(CliSettings())
    found = gateway.user(
        "POST", f"/v1/vector_stores/{store_id}/search", json={"query": query, "top_k": top_k, "mode": mode}
    )
    show_table(
        ("score", "source", "heading", "text"),
        [
            (f"{hit['score']:.4f}", hit["source"], hit.get("heading"), " ".join(hit["text"].split())[:200])
            for hit in found["data"]
        ],
        folded="text",
    )


def feedback(
    interaction_id: Annotated[str, typer.Argument(help="the request id of the answer")],
    thumbs: Annotated[str | None, typer.Option(help="up or down")] = None,
    rating: Annotated[int | None, typer.Option(min=1, max=5, help="1 to 5")] = None,
    text: Annotated[str | None, typer.Option(help="what you think of it")] = None,
    correction: Annotated[str | None, typer.Option(help="what the answer should have been")] = None,
) -> None:
    """Say something about an answer."""
    given = {"thumbs": thumbs, "rating": rating, "text": text, "correction": correction}
    chosen = {name: value for name, value in given.items() if value is not None}
    if len(chosen) != 1:
        raise CommandFailed("Give exactly one of --thumbs, --rating, --text and --correction.")
    body: dict[str, Any] = {"interaction_id": interaction_id, "feedback_type": next(iter(chosen)), **chosen}
    show_json(Gateway.from_settings(CliSettings()).user("POST", "/v1/feedback", json=body))


def _documents(paths: list[Path]) -> Iterator[tuple[str, Path]]:
    for path in paths:
        members = sorted(path.rglob("*")) if path.is_dir() else [path]
        for member in members:
            if member.is_file() and member.suffix.lower() in _MEDIA_TYPES:
                yield (str(member.relative_to(path)) if path.is_dir() else member.name), member


def _send(gateway: Gateway, store_id: str, name: str, path: Path) -> str:
    try:
        body = {
            "name": name,
            "text": path.read_text(encoding="utf-8"),
            "media_type": _MEDIA_TYPES[path.suffix.lower()],
        }
        return str(gateway.user("POST", f"/v1/vector_stores/{store_id}/documents", json=body)["id"])
    except UnicodeDecodeError as exc:
        raise CommandFailed(f"{path} is not UTF-8 text (byte {exc.start}). Save it as UTF-8 and try again.") from exc
    except CommandFailed as exc:
        raise CommandFailed(f"{path}: {exc}") from exc


def _store_id(gateway: Gateway, name: str) -> str:
    for row in every(gateway.user, "/v1/vector_stores"):
        if row["name"] == name:
            return str(row["id"])
    return str(gateway.user("POST", "/v1/vector_stores", json={"name": name})["id"])


def _wait(gateway: Gateway, store_id: str, sent: list[str], wait_s: float, progress: Progress) -> None:
    indexing = progress.add_task("indexing", total=len(sent))
    deadline = time.monotonic() + wait_s
    waiting = list(sent)
    while waiting:
        for document_id in list(waiting):
            document = gateway.user("GET", f"/v1/vector_stores/{store_id}/documents/{document_id}")
            if document["status"] == "failed":
                raise CommandFailed(f"{document['name']} was not indexed: {document['error']}")
            if document["status"] == "ready":
                waiting.remove(document_id)
                progress.advance(indexing)
        if waiting and time.monotonic() > deadline:
            raise CommandFailed(
                f"{len(waiting)} documents were not indexed within {wait_s:.0f} s; they go on in the background."
            )
        if waiting:
            time.sleep(_POLL_S)
