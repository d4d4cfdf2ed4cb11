"""`sluice ingest`: files and folders into a vector store; what has not changed is left alone."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from sluice_cli.client import Gateway, every, path_of
from sluice_cli.documents import details_of, files_of, send
from sluice_cli.output import console, say
from sluice_cli.platform.errors import CommandFailed, Refused, TypeRefused
from sluice_cli.settings import CliSettings

_POLL_S = 0.5
_SHOWN = 10
_AT_ONCE = 8
_LOOKED_AT = 20
_UNFINISHED = ("queued", "processing")


class Wish(NamedTuple):
    """What the command was given beside the files."""

    store: str
    wait_s: float
    exclude: Sequence[str]
    details: Mapping[str, Any]
    delete: bool


@dataclass(slots=True)
class _Tally:
    """What became of the files."""

    sent: dict[str, str] = field(default_factory=dict)
    unchanged: int = 0
    deleted: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)
    late: str = ""
    """What was not indexed in time."""


def ingest(
    paths: Annotated[
        list[Path], typer.Argument(help="files or folders; hidden files and folders are left out", exists=True)
    ],
    store: Annotated[
        str, typer.Option(help="name of the vector store; made if there is none of that name")
    ] = "default",
    wait_s: Annotated[
        float, typer.Option("--wait", min=0, help="seconds to wait until all is indexed; 0 does not wait")
    ] = 600.0,
    exclude: Annotated[
        list[str] | None,
        typer.Option(help="leave out names that match this pattern, such as 'drafts/*'; may be repeated"),
    ] = None,
    metadata: Annotated[
        list[str] | None, typer.Option("--metadata", help="key=value for every document sent; may be repeated")
    ] = None,
    delete: Annotated[
        bool, typer.Option("--delete", help="delete the store's documents that are not among the files")
    ] = False,
) -> None:
    """Put documents into a vector store and wait until they can be found; what has not changed is not sent again."""
    wish = Wish(store, wait_s, exclude or [], details_of(metadata or []), delete)
    ingest_into(Gateway.from_settings(CliSettings()), paths, wish)


def ingest_into(gateway: Gateway, paths: Sequence[Path], wish: Wish) -> None:
    """Do what the command does, through this gateway."""
    named = files_of(paths, wish.exclude)
    files = named.files
    if not files:
        raise CommandFailed("There is no file of a known type in what you named.")
    store_id = _store_id(gateway, wish.store)
    known = _documents(gateway, store_id)
    tally = _Tally(unread=named.unread)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        _send_all(gateway, store_id, files, known, wish.details, tally, progress)
        if wish.delete:
            others = [one for name, documents in known.items() if name not in files for one in documents]
            _delete(gateway, store_id, others, tally)
        if wish.wait_s:
            _wait(gateway, store_id, tally, wish.wait_s, progress)
    _tell("files are of no type that is read", sorted(tally.unread))
    _tell("links lead out of their folder (name what they lead to)", named.outside)
    _report(tally, wish.store, store_id)


def _tell(what: str, passed_over: Sequence[str]) -> None:
    if passed_over:
        shown = ", ".join(passed_over[:_SHOWN]) + (" …" if len(passed_over) > _SHOWN else "")
        say(f"{len(passed_over)} {what} and were passed over: {shown}")


def _report(tally: _Tally, store: str, store_id: str) -> None:
    gone = f", {tally.deleted} deleted" if tally.deleted else ""
    say(f"Vector store {store_id} ({store}): {len(tally.sent)} documents sent, {tally.unchanged} unchanged{gone}.")
    wrong = [tally.late] if tally.late else []
    if tally.failed:
        reasons = "\n".join(f"  {name}: {reason}" for name, reason in sorted(tally.failed.items()))
        wrong.append(f"{len(tally.failed)} of the files could not be ingested:\n{reasons}")
    if wrong:
        raise CommandFailed("\n".join(wrong))


def _store_id(gateway: Gateway, name: str) -> str:
    for row in every(gateway.user, "/v1/vector_stores"):
        if row["name"] == name:
            return str(row["id"])
    return str(gateway.user("POST", "/v1/vector_stores", json={"name": name})["id"])


def _documents(gateway: Gateway, store_id: str) -> dict[str, list[dict[str, Any]]]:
    """Return the documents by name, the newest of each first: one that failed stands beside what it was to replace."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in every(gateway.user, path_of("/v1/vector_stores", store_id, "documents"), {"order": "desc"}):
        found.setdefault(row["name"], []).append(row)
    return found


def _send_all(
    gateway: Gateway,
    store_id: str,
    files: Mapping[str, Path],
    known: Mapping[str, Sequence[Mapping[str, Any]]],
    details: Mapping[str, Any],
    tally: _Tally,
    progress: Progress,
) -> None:
    task = progress.add_task("sending", total=len(files))

    def sent(name: str) -> str | CommandFailed | None:
        """Return the document's id if it is to be waited for, None if it is there already, or why it was refused."""
        raw = files[name].read_bytes()
        there = next(iter(known.get(name, ())), None)
        if there is not None and _is_same(there, raw, details):
            return str(there["id"]) if there["status"] in _UNFINISHED else None
        try:
            return send(gateway, store_id, name, files[name].name, raw, details)
        except CommandFailed as exc:
            return exc

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for name, came in zip(files, pool.map(sent, files), strict=True):
            if came is None:
                tally.unchanged += 1
            elif isinstance(came, TypeRefused):
                tally.unread.append(name)
            elif isinstance(came, CommandFailed):
                tally.failed[name] = came.said if isinstance(came, Refused) else str(came)
            else:
                tally.sent[came] = name
            progress.advance(task)


def _is_same(there: Mapping[str, Any], raw: bytes, details: Mapping[str, Any]) -> bool:
    if there["status"] == "failed" or (details and there["metadata"] != details):
        return False
    return bool(there["sha256"] == hashlib.sha256(raw).hexdigest())


def _delete(gateway: Gateway, store_id: str, documents: Sequence[Mapping[str, Any]], tally: _Tally) -> None:
    for document in documents:
        gateway.user("DELETE", path_of("/v1/vector_stores", store_id, "documents", document["id"]))
        tally.deleted += 1


def _wait(gateway: Gateway, store_id: str, tally: _Tally, wait_s: float, progress: Progress) -> None:
    total = len(tally.sent)
    task = progress.add_task("indexing", total=total)
    deadline = time.monotonic() + wait_s
    waiting = dict(tally.sent)
    while waiting:
        late = time.monotonic() > deadline
        seen = _look(gateway, store_id, tally, waiting, len(waiting) if late else _LOOKED_AT)
        progress.update(task, completed=total - len(waiting))
        if waiting and late:
            tally.late = (
                f"{len(waiting)} documents were not indexed within {wait_s:.0f} s; they go on in the background."
            )
            for document in [one for one in seen if one["error"]][:_SHOWN]:
                tally.late += f"\n  {document['name']} waits: {document['error']}"
            return
        if waiting:
            time.sleep(_POLL_S)


def _look(
    gateway: Gateway, store_id: str, tally: _Tally, waiting: dict[str, str], most: int
) -> list[Mapping[str, Any]]:
    """Take out of `waiting` what is done, in its order, until so many were seen that are not; return these.

    Most are taken up in the order in which they were sent. One that says what it waits for holds up nothing behind it: it is looked at last the next time.
    """
    seen: list[Mapping[str, Any]] = []
    for document_id, name in list(waiting.items()):
        if len(seen) == most:
            break
        try:
            document = gateway.user("GET", path_of("/v1/vector_stores", store_id, "documents", document_id))
        except Refused as exc:
            if exc.status != HTTPStatus.NOT_FOUND:
                raise
            document = {"status": "failed", "error": "It was deleted or replaced while it was waited for."}
        if document["status"] in _UNFINISHED:
            seen.append(document)
            if document["error"]:
                waiting[document_id] = waiting.pop(document_id)
            continue
        if document["status"] == "failed":
            tally.failed[name] = document["error"]
            del tally.sent[document_id]
        del waiting[document_id]
    return seen
