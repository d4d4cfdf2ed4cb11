"""The port to the record of stores and documents, and what ingestion reads from it."""

from collections.abc import Collection, Sequence
from typing import Literal, NamedTuple, Protocol

from sluice.contracts.retrieval import ChunkingOptions
from sluice.contracts.searching import Attributes
from sluice_retrieval.domain.images import Picture
from sluice_retrieval.domain.metrics import Ranking
from sluice_retrieval.domain.points import Selector

Claim = Literal["gone", "done", "busy", "spent"]
"""Why a document is not to be ingested now: deleted or replaced, already ready, another worker has it, given up."""


_FREE_RUNS = 2
_PAUSE_S = 10.0
_LONGEST_PAUSE_S = 300.0


class Job(NamedTuple):
    """A document that this worker has claimed; `average_terms` is over the chunks of its store, 0 while it is empty.

    `space` is where its vectors go: that of the model that answers now. `again` says that an earlier run began it. A document with a `file_id` has no text until a run has read the file, nor has one that was `recorded`. An earlier run may have indexed the first `indexed` chunks of those that `plan` gives.
    """

    tenant: str
    store_id: str
    document_id: str
    name: str
    media_type: str
    text: str
    chunking: ChunkingOptions
    average_terms: float
    plan: str | None
    indexed: int
    space: str
    file_id: str | None = None
    caption: str = ""
    again: bool = False
    ranking: Ranking = Ranking()
    describes: bool = True
    recorded: bool = False


class Done(NamedTuple):
    """A document all of whose chunks are in the index; `terms` are those of all of them.

    `languages` are those that its chunks are stemmed by: searches in the store stem by them from then on.
    """

    job: Job
    chunks: int
    terms: int
    languages: Collection[str]


def pause_s(attempts: int) -> float:
    """Return how long a document rests after so many runs in a row that died and got nowhere, in seconds.

    Nothing after the first two, then 10 s and twice as long each time, at most 5 minutes: a worker that is killed for
    another reason costs its documents little, and a document that kills its worker does so ever more seldom.
    """
    return 0.0 if attempts <= _FREE_RUNS else min(_PAUSE_S * 2.0 ** (attempts - _FREE_RUNS - 1), _LONGEST_PAUSE_S)


class DocumentDetails(NamedTuple):
    """What a hit shows of its document."""

    attributes: Attributes
    file_id: str | None
    media_type: str = ""


class Removal(NamedTuple):
    """Points that are still to be removed from the index."""

    id: int
    selector: Selector


class Waiting(NamedTuple):
    """A document whose ingestion is to be sent to the queue."""

    tenant: str
    store_id: str
    document_id: str


class IngestRecord(Protocol):
    """What the record of documents does for ingestion. All methods take the time as an argument, in unix seconds.

    A claim is a lease: it ends by itself at `until` unless it is extended, so that a killed worker's document comes
    free. When the database is away every method raises; the task ends, and the sweep sends the document again.
    """

    async def claim(self, tenant: str, document_id: str, now: float, until: float) -> Job | Claim:
        """Take a document that is queued, or whose worker has lost its lease."""
        ...

    async def claim_waiting(self, now: float, until: float, most_bytes: int) -> Sequence[Job]:
        """Take what waits for longest: one document, or several small ones of a store that were never begun; none if none waits.

        Together these have at most `most_bytes`.
        """
        ...

    async def extend(self, document_ids: Sequence[str], until: float) -> None:
        """Keep claims."""
        ...

    async def keep_text(
        self, job: Job, text: str, media_type: str, sha256: str, picture: Picture | None = None
    ) -> None:
        """Record the text that a document's file holds, and what was read of an image."""
        ...

    async def plan(self, job: Job, plan: str, planned: int) -> None:
        """Note how the document is cut; nothing is indexed by this plan yet."""
        ...

    async def progress(self, job: Job, indexed: int, until: float) -> None:
        """Note that so many chunks are in the index, and keep the claim; earlier runs are forgiven."""
        ...

    async def finish(self, done: Sequence[Done], now: float) -> None:
        """Make documents of one store ready, all or none, and retire older ones of their names; their points are noted for removal.

        If another embedding model answers by now, a document is queued again instead.
        """
        ...

    async def fail(self, job: Job, error: str) -> None:
        """Give the document up; its points are noted for removal."""
        ...

    async def release(self, job: Job, next_send_at: float, why: str, *, counted: bool) -> None:
        """Put the document back in the queue and note what it waits for; an attempt that is not counted can be made for ever."""
        ...

    async def note_removal(self, selector: Selector) -> None:
        """Remember that points are to be removed."""
        ...


class Backlog(Protocol):
    """What the sweep works on."""

    async def due(self, now: float, again_at: float, limit: int) -> Sequence[Waiting]:
        """Return documents to send now, and note that they are looked at again at `again_at`."""
        ...

    async def removals(self, limit: int) -> Sequence[Removal]:
        """Return points to remove."""
        ...

    async def removed(self, removal_id: int) -> None:
        """Forget a removal that is done."""
        ...

    async def waiting(self) -> int:
        """Return how many documents are queued or being ingested."""
        ...

    async def old_stems(self, limit: int) -> Sequence[tuple[str, str]]:
        """Return ids and the beginnings of ready documents whose terms an older release made."""
        ...

    async def restem(self, again: Collection[str], right: Collection[str], now: float) -> None:
        """Queue documents whose terms are to be made again, and note of others that they are right as they are."""
        ...
