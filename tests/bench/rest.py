"""Measures a platform that is up and does nothing: python -m tests.bench.rest --help.

CPU time comes from /proc/<pid>/stat (user and system, all threads), memory is the proportional set size; a part counts
with all that it started. The platform is the one that `sluice status` shows: SLUICE_HOME and SLUICE_PORT_BASE choose it.
"""

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import psutil
from tests.bench.errors import BenchError
from tests.bench.procfs import family, read_all_stats

from sluice_cli.platform.errors import CommandFailed
from sluice_cli.platform.home import Home
from sluice_cli.platform.memory import proportional_memory
from sluice_cli.platform.parts import Part, parts
from sluice_cli.platform.place import layout_of
from sluice_cli.platform.records import Record, read
from sluice_cli.settings import CliSettings

MIB = 1024 * 1024
MOST_CPU_PERCENT = 5.0
MOST_MIB = 2_000 * 1_000_000 / MIB


class PartAtRest(NamedTuple):
    """What one part used: per cent of one core, and MiB."""

    part: str
    cpu_percent: float
    pss_mib: float


def running(wanted: Sequence[Part], records: Mapping[str, Record]) -> dict[str, psutil.Process]:
    """Return the process of every part.

    Raises:
        BenchError: a part does not run, so that the figures would not be those of a whole platform.
    """
    found = {part.name: record.process() if (record := records.get(part.name)) else None for part in wanted}
    missing = [name for name, process in found.items() if process is None]
    if missing:
        raise BenchError(f"These parts do not run: {', '.join(missing)}. Start the platform with `sluice up` first.")
    return {name: process for name, process in found.items() if process is not None}


def youngest_s(records: Mapping[str, Record], now: float) -> float:
    """Return how long the part that was started last has been running."""
    return now - max(record.started_at for record in records.values())


def cpu_seconds(processes: Mapping[str, psutil.Process]) -> dict[str, float]:
    """Return the CPU time that each part has used so far."""
    stats = read_all_stats()
    return {
        name: sum(member.cpu_seconds for member in family(process.pid, stats)) for name, process in processes.items()
    }


def measure(processes: Mapping[str, psutil.Process], seconds: float) -> list[PartAtRest]:
    """Watch all parts for so long; a part that ended meanwhile is an error."""
    before, began = cpu_seconds(processes), time.monotonic()
    time.sleep(seconds)
    after, took = cpu_seconds(processes), time.monotonic() - began
    gone = [name for name, process in processes.items() if not lives(process)]
    if gone:
        raise BenchError(f"These parts ended while they were measured: {', '.join(gone)}.")
    return [
        PartAtRest(name, (after[name] - before[name]) / took * 100, proportional_memory(process) / MIB)
        for name, process in processes.items()
    ]


def lives(process: psutil.Process) -> bool:
    """Tell whether a process has not ended, whether or not somebody has noticed its end."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def total(found: Sequence[PartAtRest]) -> PartAtRest:
    """Return the sum over all parts."""
    return PartAtRest("in all", sum(row.cpu_percent for row in found), sum(row.pss_mib for row in found))


def table(found: Sequence[PartAtRest]) -> str:
    """Return a Markdown table, the largest user of CPU first and the sum last."""
    rows = [*sorted(found, key=lambda row: -row.cpu_percent), total(found)]
    lines = ["| part | CPU, % of one core | PSS MiB |", "| --- | ---: | ---: |"]
    return "\n".join(lines + [f"| {row.part} | {row.cpu_percent:.2f} | {row.pss_mib:,.1f} |" for row in rows])


def complaints(found: Sequence[PartAtRest]) -> list[str]:
    """Return which bars a platform at rest does not keep."""
    whole = total(found)
    said = []
    if whole.cpu_percent >= MOST_CPU_PERCENT:
        said.append(f"{whole.cpu_percent:.1f} % of one core at rest; the bar is {MOST_CPU_PERCENT:g} %")
    if whole.pss_mib >= MOST_MIB:
        said.append(f"{whole.pss_mib:,.0f} MiB at rest; the bar is {MOST_MIB:,.0f} MiB (2 GB)")
    return said


def parse_arguments(words: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.rest", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to measure (default: 60)")
    parser.add_argument(
        "--rested", type=float, default=120.0, help="wait until all parts have been up for so long (default: 120)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON in place of the table")
    found = parser.parse_args(words)
    if found.seconds < 1 or found.rested < 0:
        parser.error("--seconds must be at least 1, and --rested not below 0")
    return found


def main(words: Sequence[str] | None = None) -> int:
    """Measure and print; status 1 when a bar is not kept, 2 when there is no whole platform to measure."""
    arguments = parse_arguments(words)
    try:
        settings = CliSettings()
        home = Home(settings.home)
        wanted = parts(layout_of(settings), home, settings.redis_url)
        records = read(home.run)
        processes = running(wanted, records)
        rest = arguments.rested - youngest_s(records, time.time())
        if rest > 0:
            print(f"Waiting {rest:.0f} s until the platform has been up for {arguments.rested:g} s …", file=sys.stderr)
            time.sleep(rest)
        print(f"Measuring {len(processes)} parts for {arguments.seconds:g} s …", file=sys.stderr)
        found = measure(processes, arguments.seconds)
    except (BenchError, CommandFailed) as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps([row._asdict() for row in [*found, total(found)]], indent=2) if arguments.json else table(found))
    failed = complaints(found)
    for complaint in failed:
        print(f"Failed: {complaint}.", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
