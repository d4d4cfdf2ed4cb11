"""What a file is: its purpose, its name, its end, and which part of it is wanted."""

import re
from collections.abc import Mapping
from typing import NamedTuple, get_args

from pydantic import ValidationError

from sluice.contracts.files import ExpiresAfter, FileObject, FilePurpose
from sluice_gateway.domain.file_errors import FormUnreadable, RangeOutside, UnknownPurpose

PURPOSES: tuple[str, ...] = get_args(FilePurpose)
BATCH_INPUT = "batch"
BATCH_OUTPUT = "batch_output"
_MAX_FILENAME = 255
_RANGE = re.compile(r"bytes=([0-9]{0,40})-([0-9]{0,40})")

PageOfFiles = list[FileObject]


class Span(NamedTuple):
    """Bytes from `start` to before `stop`."""

    start: int
    stop: int


class Content(NamedTuple):
    """How much was stored, and its digest."""

    size: int
    sha256: str


def new_file(
    file_id: str, filename: str, fields: Mapping[str, str], content: Content, now: float, keep_s: int
) -> FileObject:
    """Return the record of an upload; a batch's input ends after `keep_s`, unless the form says when.

    Raises:
        FormUnreadable: the form had no file, an empty one, no purpose, or an end that cannot be.
        UnknownPurpose: files of that purpose are not taken.
    """
    purpose = _purpose(fields.get("purpose"))
    expires = _expires_after(fields)
    if not content.size:
        raise FormUnreadable("The form has no file, or an empty one; send it in a part named `file`.")
    seconds = expires.seconds if expires else keep_s if purpose == BATCH_INPUT else None
    return FileObject(
        id=file_id,
        bytes=content.size,
        created_at=int(now),
        filename=shown_name(filename) or "file",
        purpose=purpose,
        expires_at=None if seconds is None else int(now) + seconds,
        sha256=content.sha256,
    )


def shown_name(filename: str) -> str:
    """Return a name as it is kept: only its last part, since it is shown and never opened."""
    kept = "".join(letter for letter in filename.replace("\\", "/").rpartition("/")[2] if letter.isprintable())
    return kept.strip()[:_MAX_FILENAME]


def wanted_span(header: str | None, size: int) -> Span | None:
    """Return the part of a file that a Range header wants, None for all of it.

    A header that is no single range of bytes is left alone, as RFC 9110 allows.

    Raises:
        RangeOutside: it begins behind the file's end.
    """
    found = _RANGE.fullmatch(header.strip()) if header else None
    if found is None or found.group(1) == found.group(2) == "":
        return None
    first, last = found.groups()
    if not first:
        start, stop = max(0, size - int(last)), size
    else:
        start, stop = int(first), size if not last else min(size, int(last) + 1)
    if last and first and int(last) < start:
        return None
    if start >= size:
        raise RangeOutside(
            f"The file has {size} bytes; ask for a range within them.", headers={"Content-Range": f"bytes */{size}"}
        )
    return Span(start, stop)


def _purpose(purpose: str | None) -> str:
    if purpose is None:
        raise FormUnreadable(f"The form has no field `purpose`; send one of {', '.join(PURPOSES)}.")
    if purpose not in PURPOSES:
        raise UnknownPurpose(f"The purpose {purpose[:40]!r} is not known here; send one of {', '.join(PURPOSES)}.")
    return purpose


def _expires_after(fields: Mapping[str, str]) -> ExpiresAfter | None:
    found = {
        name: fields[f"expires_after[{name}]"] for name in ("anchor", "seconds") if f"expires_after[{name}]" in fields
    }
    if not found:
        return None
    try:
        return ExpiresAfter.model_validate(found)
    except ValidationError as exc:
        raise FormUnreadable(
            "`expires_after` needs the anchor `created_at` and 3600 to 2592000 `seconds` (an hour to 30 days)."
        ) from exc
