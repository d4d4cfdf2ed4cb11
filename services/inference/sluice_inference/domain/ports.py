"""What the keeper of an engine needs from the world."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from sluice_inference.domain.readings import Reading
from sluice_inference.domain.specs import EngineSpec, ManagedSpec

LAST_WORDS = 20
"""How many lines of its log an engine that failed is shown with."""


@dataclass(frozen=True, slots=True)
class ProcessEnd:
    """How a process ended: its exit status, or the signal as a negative number, and what it wrote last."""

    status: int
    log_lines: tuple[str, ...]

    def sentence(self) -> str:
        """Say it for a person."""
        how = f"was ended by signal {-self.status}" if self.status < 0 else f"ended with status {self.status}"
        return f"The engine {how}." + (f" Its last line: {self.log_lines[-1]}" if self.log_lines else "")


class EngineProcess(Protocol):
    """A running engine that this service started."""

    @property
    def pid(self) -> int:
        """Its process id."""
        ...

    async def ended(self) -> ProcessEnd:
        """Wait until it has ended."""
        ...

    async def end(self, grace_s: float) -> None:
        """Ask it to end, kill it after `grace_s`, and return when it and all that it started are gone."""
        ...

    def memory_bytes(self) -> int | None:
        """Return the resident memory of the engine and its children, None if it has just ended."""
        ...


class Launcher(Protocol):
    """Starts engines as processes of the operating system."""

    async def start(self, spec: ManagedSpec) -> EngineProcess:
        """Start an engine; one that an earlier life of the service left behind is ended first.

        Raises:
            EngineFailed: it cannot be started; the sentence says what to do.
        """
        ...

    def log_lines(self, engine_id: str, most: int = LAST_WORDS) -> tuple[str, ...]:
        """Return the last lines of the engine's log, at most so many."""
        ...

    def trim_log(self, engine_id: str) -> None:
        """Keep the engine's log below its limit."""
        ...


class Serving(NamedTuple):
    """An adapter that answers at an address of its own; `used_at` (unix seconds) is when it was last seen at work."""

    base_url: str
    busy: bool
    used_at: float | None


class OwnEngines(Protocol):
    """The engines of adapters that the engine itself cannot take while it runs."""

    def serving(self) -> Mapping[str, Serving]:
        """Return the adapters that answer now, by name."""
        ...

    async def load(self, name: str, path: str) -> None:
        """Start the engine of an adapter and return when it is ready.

        Raises:
            SluiceError: it does not start; the sentence says why.
        """
        ...

    async def unload(self, name: str) -> None:
        """End the engine of an adapter after what it is doing; one that does not run counts as ended."""
        ...

    async def leave(self) -> None:
        """End all of them."""
        ...


class Energy(Protocol):
    """Counters of energy; those that cannot be read are left out, since an engine serves all the same without them."""

    def joules(self, meters: Collection[str]) -> Mapping[str, float]:
        """Return the joules of each meter since a moment that stays the same."""
        ...


class Probe(Protocol):
    """Asks engines over HTTP."""

    async def is_up(self, spec: EngineSpec) -> None:
        """Ask whether it is there.

        Raises:
            EngineFailed: it is not, or does not answer in time.
        """
        ...

    async def generate(self, spec: EngineSpec) -> None:
        """Let it generate one token: the only proof that it works.

        Raises:
            EngineFailed: it did not.
        """
        ...

    async def load_adapter(self, spec: EngineSpec, name: str, path: str) -> None:
        """Load a LoRA adapter while the engine runs; one that it holds already counts as loaded.

        Raises:
            EngineFailed: it did not; the sentence says why.
        """
        ...

    async def unload_adapter(self, spec: EngineSpec, name: str) -> None:
        """Unload a LoRA adapter; one that it does not hold counts as unloaded.

        Raises:
            EngineFailed: it did not.
        """
        ...

    async def read(self, spec: EngineSpec) -> Reading:
        """Read its counters; an engine without counters gives an empty reading.

        Raises:
            EngineFailed: it does not answer in time.
        """
        ...
