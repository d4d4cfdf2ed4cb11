"""Transcripts: what they are made of, what is masked in them, and who stores them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

from sluice.contracts.usage import UsageStatus

MOST_BYTES = 1024 * 1024
_LONGEST_TEXT = 100_000
_DATA = "data:"

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Transcript:
    """A request and its answer as JSON values; times are unix seconds. `redact` names the guard policy that masks it, if one does."""

    id: str
    request_id: str
    at: float
    expires_at: float
    tenant: str
    organization_id: str
    team_id: str | None
    key_id: str
    end_user: str | None
    endpoint: str
    model: str
    status: UsageStatus
    http_status: int
    complete: bool
    request: Any
    answer: Any
    size: int
    redact: str | None = None

    def with_contents(self, request: Any, answer: Any) -> "Transcript":
        """Return it with other contents."""
        return replace(self, request=request, answer=answer)


@dataclass(frozen=True, slots=True)
class TranscriptFilter:
    """Which transcripts are meant; None means any. Times are unix seconds, `since` included and `until` not."""

    tenant: str | None = None
    key_id: str | None = None
    team_id: str | None = None
    end_user: str | None = None
    model: str | None = None
    status: UsageStatus | None = None
    request_id: str | None = None
    since: float | None = None
    until: float | None = None


class Text(NamedTuple):
    """A text in a JSON value, and where it stands."""

    path: Path
    text: str


class TranscriptSink(Protocol):
    """Takes transcripts of requests that have ended; it never waits and never raises.

    Degraded mode: while the database or the guardrail is away transcripts wait in memory, as far as there is room; what finds
    none is dropped and counted. Usage is not touched by that: it has a journal of its own.
    """

    def keep(self, transcript: Transcript) -> None:
        """Take one."""
        ...


class NoTranscripts:
    """Takes none: for a request path that stands alone."""

    def keep(self, transcript: Transcript) -> None:
        """Drop it."""


class TranscriptRows(Protocol):
    """Where transcripts lie; its methods raise DependencyUnavailable while it is away."""

    async def add(self, transcripts: Sequence[Transcript]) -> None:
        """Add new ones."""
        ...


class Redactor(Protocol):
    """Masks personal data and secrets; raises a SluiceError when it cannot."""

    async def masked(self, texts: Sequence[str], policy: str, tenant: str) -> list[str]:
        """Return the texts, masked, in their order."""
        ...


def texts_in(value: Any, path: Path = ()) -> Iterator[Text]:
    """Yield all texts of a JSON value: under any name, since a tool's arguments may call a person's number `id`."""
    if isinstance(value, str):
        if value and not value.isspace():
            yield Text(path, value)
    elif isinstance(value, dict):
        for name, part in value.items():
            yield from texts_in(part, (*path, name))
    elif isinstance(value, list):
        for place, part in enumerate(value):
            yield from texts_in(part, (*path, place))


def replaced(value: Any, texts: dict[Path, str], path: Path = ()) -> Any:
    """Return the JSON value with other texts in their places."""
    if isinstance(value, str):
        return texts.get(path, value)
    if isinstance(value, dict):
        return {name: replaced(part, texts, (*path, name)) for name, part in value.items()}
    if isinstance(value, list):
        return [replaced(part, texts, (*path, place)) for place, part in enumerate(value)]
    return value


def without_data(value: Any) -> Any:
    """Return the JSON value without pictures and other data in it, and with overlong texts cut; each says how long it was."""
    if isinstance(value, str):
        if value.startswith(_DATA):
            return f"{value.split(',', 1)[0][:100]} ({len(value)} characters)"
        return value if len(value) <= _LONGEST_TEXT else f"{value[:_LONGEST_TEXT]}… ({len(value)} characters)"
    if isinstance(value, dict):
        return {
            name: f"({len(part)} characters)" if name in ("data", "b64_json") and isinstance(part, str) and len(part) > 1000 else without_data(part)
            for name, part in value.items()
        }  # fmt: skip
    return [without_data(part) for part in value] if isinstance(value, list) else value
