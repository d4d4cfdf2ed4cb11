"""The port that turns recordings and videos into timed text, part by part."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from sluice.contracts.retrieval import TimeSpan
from sluice.errors import DependencyUnavailable, UpstreamFailed
from sluice_retrieval.domain.errors import DocumentTypeUnknown, DocumentUnreadable
from sluice_retrieval.domain.extraction import Source
from sluice_retrieval.domain.library import Job
from sluice_retrieval.domain.timed import Line, span_of

NOT_HEARD = (
    "Recordings and videos are read where a model writes down what is said, and here none is configured "
    "(SLUICE_RETRIEVAL_TRANSCRIPTION_URL)."
)
NOT_ALLOWED = "No model may see or hear what is in this store (`captions` is false), so that no recording can be read."
NOTHING = "Nothing is said in the recording."


def check_heard(*, hears: bool, allowed: bool) -> None:
    """Raise `DocumentTypeUnknown` where no model `hears`, and `DocumentUnreadable` where the store has not `allowed` it."""
    if not hears:
        raise DocumentTypeUnknown(NOT_HEARD)
    if not allowed:
        raise DocumentUnreadable(NOT_ALLOWED)


class TranscriptionFailed(UpstreamFailed):
    """The model was not done in time or broke down: it may be for this recording, so that it is not tried for ever."""


class Part(NamedTuple):
    """What was heard or seen from where the part before ended until `until_s`; `ended`: nothing follows.

    What is kept of a part is not asked for again, also after a crash.
    """

    lines: tuple[Line, ...]
    until_s: float
    ended: bool


class Heard(NamedTuple):
    """The parts that earlier runs made: of the sound and of the pictures, each in the order of time."""

    sound: tuple[Part, ...] = ()
    pictures: tuple[Part, ...] = ()

    @property
    def lines(self) -> Sequence[Line]:
        """All lines in the order of time; what is seen stands after what is said from the same moment on."""
        every = [line for part in (*self.sound, *self.pictures) for line in part.lines]
        return sorted(every, key=lambda line: (line.start_s, line.seen))


class RecordingRecord(Protocol):
    """Where recordings lie that were sent as documents, and what was heard and seen so far."""

    async def source(self, document_id: str) -> Source:
        """Return a recording; raises `DocumentNotFound` if it was deleted."""
        ...

    async def heard(self, document_id: str) -> Heard:
        """Return what earlier runs heard and saw."""
        ...

    async def keep(self, document_id: str, start_s: float, part: Part, *, seen: bool, until: float) -> None:
        """Keep a part that begins at `start_s`, and the claim to the document.

        Raises:
            DocumentNotFound: it was deleted.
            DependencyUnavailable: another run, which had the claim meanwhile, has brought it to its end.
        """
        ...


class Recordings(Protocol):
    """Writes down what is said in a recording, and what a video shows.

    Both methods raise `DocumentUnreadable` and `DocumentTooLarge` for a file that can never be read; while the model is away
    they raise `DependencyUnavailable` or `UpstreamFailed`, and `TranscriptionFailed` for what it could not do in time.
    """

    async def hear(self, raw: bytes, name: str, start_s: float) -> Part:
        """Return what is said in the next part, from `start_s` seconds on."""
        ...

    async def look(self, raw: bytes, start_s: float) -> Part:
        """Return what the next pictures from `start_s` seconds on show; nothing where no model describes them."""
        ...

    def text(self, lines: Sequence[Line]) -> str:
        """Return lines as Markdown with a heading for each section; raises `DocumentTooLarge`."""
        ...


def time_of(heading: str | None) -> TimeSpan | None:
    """Return which seconds of a recording stand under a heading, None if it names none."""
    span = span_of(heading)
    return None if span is None else TimeSpan(**span._asdict())


@dataclass(frozen=True, slots=True)
class Listener:
    """Reads a recording to its end, part by part; each part is kept before the next one is asked for."""

    recordings: Recordings | None
    record: RecordingRecord

    async def text(self, job: Job, source: Source, held_until: Callable[[], float], leaving: asyncio.Event) -> str:
        """Return the text of a document's recording; `held_until` tells until when the claim to the document is kept, in unix seconds.

        Raises:
            DocumentTypeUnknown: no model is there that hears.
            DocumentUnreadable: the store lets none hear, the model refuses the file, or nothing is said.
            DocumentNotFound: the document was deleted in the meantime; nothing more is asked for.
            DependencyUnavailable: the model is away, or this process ends: what was heard is kept.
        """
        reader, document_id = self.recordings, job.document_id
        check_heard(hears=reader is not None, allowed=job.describes)
        assert reader is not None
        heard = await self.record.heard(document_id)
        sound, pictures = list(heard.sound), list(heard.pictures)
        for parts, seen in ((sound, False), (pictures, True)):
            while not parts or not parts[-1].ended:
                if leaving.is_set():
                    raise DependencyUnavailable("The worker ends; the recording goes on where it stopped.")
                start_s = parts[-1].until_s if parts else 0.0
                part = await (
                    reader.look(source.raw, start_s) if seen else reader.hear(source.raw, source.name, start_s)
                )
                if part.until_s <= start_s:
                    part = part._replace(ended=True)
                await self.record.keep(document_id, start_s, part, seen=seen, until=held_until())
                parts.append(part)
        lines = Heard(tuple(sound), tuple(pictures)).lines
        if not lines:
            raise DocumentUnreadable(NOTHING)
        return await asyncio.to_thread(reader.text, lines)
