"""Files on this machine that become documents of a vector store."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from sluice.contracts.retrieval import DOCUMENT_SUFFIXES
from sluice_cli.client import Gateway
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


def files_of(paths: Sequence[Path], exclude: Sequence[str]) -> dict[str, Path]:
    """Return files and the members of folders by the names that they get in a store."""
    found: dict[str, Path] = {}
    for name, path in _walk(paths, exclude):
        if path not in paths and path.suffix.lower() not in DOCUMENT_SUFFIXES:
            continue
        if name in found:
            raise CommandFailed(f"{found[name]} and {path} would both be {name!r} in the store. Ingest them apart.")
        found[name] = path
    return found


def left_out(paths: Sequence[Path], exclude: Sequence[str]) -> list[str]:
    """Return the members of folders that are of no type that is read; hidden ones are not meant."""
    walked = _walk(paths, exclude)
    return [name for name, path in walked if path not in paths and path.suffix.lower() not in DOCUMENT_SUFFIXES]


def _walk(paths: Sequence[Path], exclude: Sequence[str]) -> Iterator[tuple[str, Path]]:
    """Yield files and the members of folders with their names, all but hidden and excluded ones."""
    for path in paths:
        if not path.is_dir():
            members = [(path.name, path)]
        else:
            inside = ((member.relative_to(path), member) for member in sorted(path.rglob("*")))
            members = [
                (name.as_posix(), member)
                for name, member in inside
                if not any(part.startswith(".") for part in name.parts) and member.is_file()
            ]
        for name, member in members:
            if not any(PurePosixPath(name).match(pattern) for pattern in exclude):
                yield name, member


def send(gateway: Gateway, store_id: str, name: str, filename: str, raw: bytes, details: Mapping[str, Any]) -> str:
    """Add a file's bytes to a store and return the document's id."""
    form = {"name": name, "metadata": json.dumps(details)}
    path = f"/v1/vector_stores/{store_id}/documents"
    return str(gateway.user("POST", path, files={"file": (filename, raw)}, data=form)["id"])
