"""Files in OpenAI's shape."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from sluice.contracts.base import Reply

FilePurpose = Literal["batch", "fine-tune", "assistants", "vision", "user_data", "evals"]
FileId = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._-]+$")]


class ExpiresAfter(Reply):
    """When a file ends: so many seconds after it was made."""

    anchor: Literal["created_at"]
    seconds: Annotated[int, Field(ge=3600, le=2_592_000)]


class FileObject(Reply):
    """A stored file (OpenAI's shape; `sha256` is ours)."""

    id: str
    object: Literal["file"] = "file"
    bytes: int
    created_at: int
    filename: str
    purpose: str
    status: Literal["uploaded", "processed", "error"] = "processed"
    status_details: str | None = None
    expires_at: int | None = None
    sha256: str


class FileDeleted(Reply):
    """A file that is gone."""

    id: str
    object: Literal["file"] = "file"
    deleted: bool = True
