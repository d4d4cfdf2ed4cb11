"""Files on this machine that become documents of a vector store."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from sluice.contracts.retrieval import DOCUMENT_SUFFIXES
from sluice_cli.client import Gateway
from sluice_cli.platform.errors import CommandFailed


def files_of(paths: Sequence[Path], exclude: Sequence[str]) -> dict[str, Path]:
    """Return files and the members of folders by the names that they get in a store."""
    found: dict[str, Path] = {}
    for name, path in _walk(paths):
        if any(PurePosixPath(name).match(pattern) for pattern in exclude):
            continue
        if name in found:
            raise CommandFailed(f"{found[name]} and {path} would both be {name!r} in the store. Ingest them apart.")
        found[name] = path
    return found


def _walk(paths: Sequence[Path]) -> Iterator[tuple[str, Path]]:
    for path in paths:
        if not path.is_dir():
            yield path.name, path
            continue
        for member in sorted(path.rglob("*")):
            name = member.relative_to(path)
            hidden = any(part.startswith(".") for part in name.parts)
            if not hidden and member.is_file() and member.suffix.lower() in DOCUMENT_SUFFIXES:
                yield name.as_posix(), member


def send(gateway: Gateway, store_id: str, name: str, filename: str, raw: bytes, details: Mapping[str, Any]) -> str:
    """Add a file's bytes to a store and return the document's id."""
    form = {"name": name, "metadata": json.dumps(details)}
    path = f"/v1/vector_stores/{store_id}/documents"
    return str(gateway.user("POST", path, files={"file": (filename, raw)}, data=form)["id"])
