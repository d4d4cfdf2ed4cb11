"""Files on this machine that become documents of a vector store."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from sluice.contracts.retrieval import DOCUMENT_SUFFIXES
from sluice_cli.client import Gateway, path_of
from sluice_cli.platform.errors import CommandFailed


def details_of(given: Sequence[str], option: str = "--metadata") -> dict[str, Any]:
    """Return metadata of pairs `key=value`; numbers and booleans are read as such."""
    details: dict[str, Any] = {}
    for pair in given:
        key, found, value = pair.partition("=")
        if not found or not key:
            raise CommandFailed(f"{option} takes key=value, not {pair!r}.")
        details[key] = _value(value)
    return details


def _value(text: str) -> str | int | float | bool:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, int | float) else text


class Named(NamedTuple):
    """Files by the names that they get in a store, and the names of members of folders that are left out: of no type that is read, or links that lead out of their folder."""

    files: dict[str, Path]
    unread: list[str]
    outside: list[str]


def files_of(paths: Sequence[Path], exclude: Sequence[str]) -> Named:
    """Return files and the members of folders; hidden and excluded ones are not meant."""
    found = Named({}, [], [])
    for name, path, inside in _walk(paths, exclude):
        if not inside:
            found.outside.append(name)
        elif path not in paths and path.suffix.lower() not in DOCUMENT_SUFFIXES:
            found.unread.append(name)
        elif name in found.files:
            raise CommandFailed(
                f"{found.files[name]} and {path} would both be {name!r} in the store. Ingest them apart."
            )
        else:
            found.files[name] = path
    return found


def _walk(paths: Sequence[Path], exclude: Sequence[str]) -> Iterator[tuple[str, Path, bool]]:
    """Yield files and the members of folders with their names, and whether they lie in what was named; all but hidden and excluded ones."""
    for path in paths:
        members = [(path.name, path)]
        if path.is_dir():
            inside = ((member.relative_to(path), member) for member in sorted(path.rglob("*")))
            members = [
                (name.as_posix(), member)
                for name, member in inside
                if not any(part.startswith(".") for part in name.parts) and member.is_file()
            ]
        root = path.resolve()
        for name, member in members:
            if not any(PurePosixPath(name).match(pattern) for pattern in exclude):
                yield name, member, member.resolve().is_relative_to(root)


def send(gateway: Gateway, store_id: str, name: str, filename: str, raw: bytes, details: Mapping[str, Any]) -> str:
    """Add a file's bytes to a store and return the document's id."""
    form = {"name": name, "metadata": json.dumps(details)}
    path = path_of("/v1/vector_stores", store_id, "documents")
    return str(gateway.user("POST", path, files={"file": (filename, raw)}, data=form)["id"])
