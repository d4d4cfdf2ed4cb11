"""Tells whether the gateway's memory stays flat over many requests and aborted streams: python -m tests.bench.soak --help.

The gateway runs as in the benchmark's row `sluice`, with a real Valkey and its usage consumer. A tenth of the work comes
first as a warm-up, and the most memory that was resident in it is the base line; then come the requests in ten parts and
the aborted streams, and after each part memory is looked at again. The highest look may be 5 % above the base line. The
upstream must have been told of every abort, and the usage API has to know of every request, the aborted ones included.

Resident memory goes up and down by the size of a journal file (8 MiB, some 30,000 requests): the file that is being
written is mapped. What is no file's is shown beside it.
"""

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, NoReturn

from tests.bench.aborts import abort_streams
from tests.bench.errors import BenchError
from tests.bench.loadgen import run_load
from tests.bench.mock import Counters, MockUpstream, Timing
from tests.bench.paths import LOGS
from tests.bench.procfs import anonymous_bytes, tree_use
from tests.bench.rows.base import Gateway, Place
from tests.bench.rows.sluice import open_sluice
from tests.bench.run import choose_cores, say
from tests.bench.scenarios import Bodies, write_bodies
from tests.bench.session import settle
from tests.bench.toolchain import Programs, build

MIB = 2**20
MOST_GROWTH = 0.05
PARTS = 10
WARM_SHARE = 10  # one tenth
WARM_PARTS = 5
ABORT_PARTS = 10
LOAD_CONNECTIONS = 32
ABORT_CONNECTIONS = 16
PART_SECONDS = 600
CLOSED_SECONDS = 1.0
PACED = Timing(first_delay_us=20_000, gap_us=5_000)


class Look(NamedTuple):
    """Memory after so much work since the start, in bytes: all that is resident, of it what is no file's, and all of the
    usage consumer's."""

    requests: int
    aborted: int
    resident: int
    anonymous: int
    consumer: int


class Looks(NamedTuple):
    """What was seen in the warm-up, and after it."""

    warm: list[Look]
    later: list[Look]

    @property
    def base(self) -> int:
        """The most memory that was resident in the warm-up."""
        return max(look.resident for look in self.warm)

    @property
    def growth(self) -> float:
        """By what share the highest look after the warm-up is above the base line."""
        return max(look.resident for look in self.later) / self.base - 1


class Soak:
    """A gateway under load, and what was seen of it."""

    def __init__(
        self, gateway: Gateway, upstream: MockUpstream, programs: Programs, bodies: Bodies, load_core: int
    ) -> None:
        self._gateway = gateway
        self._upstream = upstream
        self._programs = programs
        self._bodies = bodies
        self._load_core = load_core
        self._requests = 0
        self._aborted = 0

    def answer(self, requests: int) -> None:
        """Have so many requests answered.

        Raises:
            BenchError: an answer was wrong, or they took too long.
        """
        self._upstream.set_timing(Timing())
        report = run_load(
            self._programs.load,
            self._gateway.target,
            self._bodies.json,
            connections=LOAD_CONNECTIONS,
            seconds=PART_SECONDS,
            core=self._load_core,
            max_requests=requests,
        )
        self._requests += report.ok
        if report.complaint:
            raise BenchError(f"Requests were not answered right: {report.complaint}.")
        if report.ok < requests:
            raise BenchError(f"{report.ok} of {requests} requests were answered in {PART_SECONDS} s.")

    def abort(self, streams: int) -> None:
        """Have so many streams aborted by their clients.

        Raises:
            BenchError: the upstream was not told of each within a second.
        """
        self._upstream.set_timing(PACED)
        before = self._upstream.counters()
        abort_streams(self._gateway.target, self._bodies.stream, streams, connections=ABORT_CONNECTIONS)
        self._aborted += streams
        time.sleep(CLOSED_SECONDS)
        complaint = not_closed(before, self._upstream.counters(), streams)
        if complaint:
            raise BenchError(complaint)

    def look(self) -> Look:
        """Wait until the gateway has done what is left to do, and see how much memory it has."""
        settle(self._gateway)
        gateway, consumer = self._gateway.process, self._gateway.consumer
        assert gateway is not None
        assert consumer is not None
        resident, left = tree_use(gateway.pid).rss_bytes, tree_use(consumer.pid).rss_bytes
        found = Look(self._requests, self._aborted, resident, anonymous_bytes(gateway.pid), left)
        say(f"{found.requests:>9,} requests, {found.aborted:>6,} aborted streams: {resident / MIB:.1f} MiB resident")
        return found

    def usage_complaint(self) -> str | None:
        """Say what the usage API does not know of, if anything."""
        assert self._gateway.check is not None
        return self._gateway.check(self._requests + self._aborted)


def not_closed(before: Counters, after: Counters, aborted: int) -> str | None:
    """Say how many aborted streams the upstream went on with, None when it was told of every one."""
    begun, cut = after.streams - before.streams, after.unfinished_streams - before.unfinished_streams
    if begun == cut == aborted:
        return None
    return f"Of {aborted} streams that clients aborted, the upstream began {begun} and was told to stop {cut}."


def run(soak: Soak, requests: int, aborts: int) -> Looks:
    """Warm up, then do all the work, and look at the memory after each part of it."""
    soak.abort(max(1, aborts // WARM_SHARE))
    warm = look_after(soak, parts(max(1, requests // WARM_SHARE), WARM_PARTS))
    later = look_after(soak, parts(requests, PARTS))
    for part in parts(aborts, ABORT_PARTS):
        soak.abort(part)
        later.append(soak.look())
    return Looks(warm, later)


def look_after(soak: Soak, requests: Sequence[int]) -> list[Look]:
    """Have requests answered in parts, and look after each."""
    looks = []
    for part in requests:
        soak.answer(part)
        looks.append(soak.look())
    return looks


def parts(total: int, count: int) -> list[int]:
    """Return `total` cut into at most `count` nearly equal parts."""
    cuts = [total * part // count for part in range(count + 1)]
    return [end - start for start, end in pairwise(cuts) if end > start]


def table(looks: Looks) -> str:
    """Return a Markdown table of all looks."""
    lines = [
        "| requests | aborted streams | resident, MiB | to the base line | of it no file's, MiB | usage consumer, MiB |",
        "| ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for look in (*looks.warm, *looks.later):
        change = "warm-up" if look in looks.warm else f"{look.resident / looks.base - 1:+.1%}"
        sizes = (f"{size / MIB:.1f}" for size in (look.anonymous, look.consumer))
        cells = (f"{look.requests:,}", f"{look.aborted:,}", f"{look.resident / MIB:.1f}", change, *sizes)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def parse_arguments(words: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.soak", description=__doc__)
    parser.add_argument("--requests", type=int, default=500_000, help="after the warm-up (default: 500000)")
    parser.add_argument("--aborts", type=int, default=2_000, help="aborted streams after the warm-up (default: 2000)")
    parser.add_argument(
        "--short", action="store_true", help="20,000 requests and 200 aborts: shows that it works, and no more"
    )
    found = parser.parse_args(words)
    if found.short:
        found.requests, found.aborts = 20_000, 200
    if found.requests < 1 or found.aborts < 1:
        parser.error("--requests and --aborts must be at least 1")
    return found


def soaked(requests: int, aborts: int) -> tuple[Looks, str | None]:
    """Start all that is needed, do the work, and return what was seen and what the usage API lacks."""
    programs = build()
    gateway_core, load_core = choose_cores()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sluice-soak-")))
        upstream = stack.enter_context(MockUpstream(programs.mock, core=load_core, log=LOGS / "mock.log"))
        place = Place(upstream, gateway_core, load_core, folder, LOGS, None)
        gateway = stack.enter_context(open_sluice(place))
        soak = Soak(gateway, upstream, programs, write_bodies(folder), load_core)
        return run(soak, requests, aborts), soak.usage_complaint()


def main(words: Sequence[str] | None = None) -> int:
    """Soak and print; status 1 when memory grew or usage is missing, 2 when it could not be done."""
    arguments = parse_arguments(words)

    def end(_number: int, _frame: object) -> NoReturn:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, end)  # so that the children are ended as well
    try:
        looks, complaint = soaked(arguments.requests, arguments.aborts)
    except BenchError as error:
        say(str(error))
        return 2
    except KeyboardInterrupt:
        say("Stopped.")
        return 130
    print(table(looks))
    if complaint:
        say(f"Failed: {complaint}.")
    if arguments.short:
        say("This was too short to judge memory by: less than one journal file was written.")
        return 1 if complaint else 0
    say(f"The highest look is {looks.growth:+.1%} from the base line; the bar is {MOST_GROWTH:+.0%}.")
    return 1 if complaint or looks.growth > MOST_GROWTH else 0


if __name__ == "__main__":
    sys.exit(main())
