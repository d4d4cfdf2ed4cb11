"""A run of a suite: what the worker needs of the world, and what it writes down."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from sluice.contracts.evals import CreateEval, EvalItem, EvalItemResult, RunStatus, Sampling
from sluice_eval.domain.errors import RunKeyForbidden, RunKeyMissing
from sluice_eval.domain.scoring import Meaning


class RunKey(NamedTuple):
    """Which run, of which tenant."""

    tenant: str
    run_id: str


class OnBehalf(NamedTuple):
    """For whom a run asks the gateway: an API key, by its id, and the tenant that owns it."""

    tenant: str
    api_key_id: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for a question; `text` is None when the model answered without text (a tool call)."""

    text: str | None
    served_model: str | None = None
    finish_reason: str | None = None
    request_id: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost_usd: float | None = None


class NotAnswered(Exception):
    """A question got no answer; `reason` is a sentence.

    `again` says that it may be asked again, after `after_s` if that is given. `for_all` says that no other question
    would fare better (a refused key, an unknown model), so that the whole run ends.
    """

    def __init__(
        self, reason: str, *, again: bool = False, after_s: float | None = None, for_all: bool = False
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.again = again
        self.after_s = after_s
        self.for_all = for_all


class ChatTarget(Protocol):
    """The model under evaluation, behind the gateway."""

    async def ask(
        self, on_behalf: OnBehalf, model: str, item: EvalItem, sampling: Sampling, timeout_s: float
    ) -> Answer:
        """Ask one question with the rights of an API key.

        Raises:
            NotAnswered: there is no answer, now or ever.
        """
        ...


class MeaningReader(Protocol):
    """Tells how alike two texts are in meaning."""

    async def nearest(self, tenant: str, answer: str, meaning: Meaning) -> float:
        """Return the highest cosine of an answer to the texts.

        Raises:
            NotAnswered: it cannot be told; the item's outcome is then an error with that sentence.
        """
        ...


class RunQueue(Protocol):
    """Tells workers that a run waits.

    When the queue is away the run is kept, and the sweep sends it once the queue is back.
    """

    async def send(self, key: RunKey) -> None:
        """Send a run to the workers.

        Raises:
            QueueAway: the queue cannot be reached.
        """
        ...


@dataclass(frozen=True, slots=True)
class Work:
    """A run that this worker has taken: for whom it asks, its suite, and which positions have a result already."""

    on_behalf: OnBehalf
    model: str
    concurrency: int
    suite: CreateEval
    done: frozenset[int]
    started_at: float


class RunBook(Protocol):
    """Where runs and results are written; every write checks that the worker still holds the run."""

    async def take(self, key: RunKey, owner: str, now: float, lease_s: float) -> Work | None:
        """Take a run that waits or whose worker was lost; None if there is nothing to do for it here."""
        ...

    async def hold(self, key: RunKey, owner: str, until: float) -> bool:
        """Prolong the lease; False if the run was cancelled, deleted or taken over."""
        ...

    async def write(self, key: RunKey, owner: str, result: EvalItemResult) -> bool:
        """Write an item's result, the first one only; False if the run is no longer ours."""
        ...

    async def finish(self, key: RunKey, owner: str, status: RunStatus, error: str | None, now: float) -> bool:
        """End a run; False if it is no longer ours."""
        ...


def key_of_run(own: str | None, named: str | None, *, may_name: bool) -> str:
    """Return the id of the API key with which a run asks: the caller's own, or the one named by a caller without a key.

    Raises:
        RunKeyForbidden: the caller has a key and named another.
        RunKeyMissing: the caller has none, and named none or may not name one.
    """
    if own is not None:
        if named is not None and named != own:
            raise RunKeyForbidden(
                "A run asks on behalf of the API key that starts it. Leave `api_key_id` out, or start the run with that key."
            )
        return own
    if named is None or not may_name:
        raise RunKeyMissing(
            "Say with `api_key_id` on behalf of which API key of the tenant the run asks the gateway (GET /admin/keys lists "
            "them), or start the run through the gateway with an API key."
        )
    return named


def pause_before(attempt: int, first_s: float, asked_s: float | None, longest_s: float = 30.0) -> float:
    """Return the pause before try number `attempt` (2 is the first repetition): doubling, or what the gateway asked for."""
    return min(longest_s, max(first_s * 2.0 ** max(0, attempt - 2), asked_s or 0.0))
