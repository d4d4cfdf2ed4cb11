"""The mock upstream as the harness sees it: start it, set its timing, read its counters."""

from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import httpx
from tests.bench.children import Child

GREETING = "listening on "
MODEL = "bench-model"
CACHED_MODEL = "bench-cached"  # a row's own name for it, with a cache in front
WORDS = 64


class Timing(NamedTuple):
    """When an answer starts and how far apart its words come, in microseconds."""

    first_delay_us: int = 0
    gap_us: int = 0


class Counters(NamedTuple):
    """What the mock has begun to answer, and how many of the streams were closed before their end."""

    json: int
    streams: int
    unfinished_streams: int


class MockUpstream:
    """A running mock; `port` is where it listens on the loopback address."""

    def __init__(self, program: Path, *, core: int, log: Path) -> None:
        self._child = Child("the mock upstream", [str(program), "--port", "0"], core=core, log=log)
        self._child.wait_until(lambda: GREETING in log.read_text(), 5.0)
        self.port = int(log.read_text().removeprefix(GREETING))
        self._http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", trust_env=False)

    @property
    def goes_first(self) -> bool:
        """Whether the benchmark's processes may go before others on their core."""
        return self._child.goes_first

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def set_timing(self, timing: Timing) -> None:
        """Change the timing; call it only while nothing is under way."""
        query = {"first_delay_us": timing.first_delay_us, "gap_us": timing.gap_us, "words": WORDS}
        self._http.post("/mock/settings", params=query).raise_for_status()

    def completions_served(self) -> int:
        """Return how many completions, streamed or not, it has begun to answer."""
        counters = self.counters()
        return counters.json + counters.streams

    def counters(self) -> Counters:
        """Return what it has served."""
        found = self._http.get("/mock/counters").raise_for_status().json()
        return Counters(int(found["json"]), int(found["streams"]), int(found["unfinished_streams"]))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._http.close()
        self._child.stop()
