"""Measures Sluice's hot path beside a floor and other gateways: python -m tests.bench.run --help."""

import argparse
import os
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn

from tests.bench import bars, report
from tests.bench.bars import Held
from tests.bench.environments import LITELLM, SMG, VLLM_ROUTER
from tests.bench.errors import BenchError
from tests.bench.figures import RowFigures, Run, row_figures
from tests.bench.mock import MockUpstream
from tests.bench.paths import DOCUMENT, LOGS, RESULTS
from tests.bench.rows import direct, floor, litellm, nginx, portkey, sluice, smg, vllm_router
from tests.bench.rows.base import Gateway, Place, Row
from tests.bench.scenarios import SCENARIOS, Scenario, write_bodies
from tests.bench.session import Session, measure, try_rows
from tests.bench.toolchain import build

ROWS = (
    Row("direct", direct.missing, direct.open_direct),
    Row("sluice", sluice.missing, sluice.open_sluice),
    *floor.ROWS,
    Row("nginx", nginx.missing, nginx.open_nginx, nginx.version),
    Row("vllm-router", vllm_router.missing, vllm_router.open_vllm_router, VLLM_ROUTER.installed),
    Row("smg", smg.missing, smg.open_smg, SMG.installed),
    Row("portkey", portkey.missing, portkey.open_portkey, portkey.version),
    Row("litellm", litellm.missing, litellm.open_litellm, LITELLM.installed),
)


def say(line: str) -> None:
    """Show progress on standard error; standard output holds the tables only."""
    print(line, file=sys.stderr, flush=True)


def parse_arguments(words: Sequence[str] | None, environment: Mapping[str, str]) -> argparse.Namespace:
    """Read the command line; SLUICE_BENCH_FLOOR stands in for --floor."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.run", description=__doc__)
    names = ", ".join(row.name for row in ROWS)
    scenarios = ", ".join(scenario.name for scenario in SCENARIOS)
    parser.add_argument("--rows", default="", help=f"comma-separated, of: {names} (default: all that can run here)")
    parser.add_argument("--scenarios", default="", help=f"comma-separated, of: {scenarios} (default: all)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each row and scenario runs (default: 3)")
    parser.add_argument("--seconds", type=int, default=4, help="how long one run takes (default: 4)")
    parser.add_argument(
        "--floor",
        type=Path,
        default=environment.get("SLUICE_BENCH_FLOOR") or None,
        help="folder that holds the floors' sources (default: SLUICE_BENCH_FLOOR)",
    )
    parser.add_argument(
        "--write-docs", action="store_true", help="put the figures into docs/benchmarks.md, unless a row answered wrong"
    )
    found = parser.parse_args(words)
    if found.rounds < 1 or not 1 <= found.seconds <= 60:
        parser.error("--rounds must be at least 1 and --seconds from 1 to 60")
    found.floor = Path(found.floor).resolve() if found.floor else None
    return found


def chosen_rows(wanted: str) -> list[Row]:
    """Return the rows that --rows names, in the table's order."""
    names = [name.strip() for name in wanted.split(",") if name.strip()]
    unknown = set(names) - {row.name for row in ROWS}
    if unknown:
        raise BenchError(
            f"There is no row {', '.join(sorted(unknown))}; there are {', '.join(row.name for row in ROWS)}."
        )
    return [row for row in ROWS if not names or row.name in names]


def chosen_scenarios(wanted: str) -> list[Scenario]:
    """Return the scenarios that --scenarios names."""
    names = [name.strip() for name in wanted.split(",") if name.strip()]
    unknown = set(names) - {scenario.name for scenario in SCENARIOS}
    if unknown:
        raise BenchError(f"There is no scenario {', '.join(sorted(unknown))}.")
    return [scenario for scenario in SCENARIOS if not names or scenario.name in names]


def choose_cores() -> tuple[int, int]:
    """Return the gateway's core and the core of mock and load: two different ones where there are two."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) == 1:
        say("Only one core may be used: gateway and load share it, so requests a second say little. CPU still counts.")
    return allowed[0], allowed[-1]


def open_rows(rows: Sequence[Row], place: Place, stack: ExitStack, *, named: bool) -> dict[str, Gateway]:
    """Start each row that can run here; a row that was asked for by name and cannot run is an error."""
    gateways = {}
    for row in rows:
        reason = row.missing(place)
        if reason and named:
            raise BenchError(f"The row {row.name} cannot run: {reason}.")
        if reason:
            say(f"Row {row.name} is left out: {reason}.")
            continue
        say(f"Starting {row.title} …")
        gateways[row.name] = stack.enter_context(row.open(place))
    return gateways


def unfinished_work(gateways: Mapping[str, Gateway], runs: Sequence[Run]) -> list[str]:
    """Ask each gateway that can tell whether it did all its work for the requests that were measured."""
    found = []
    for name, gateway in gateways.items():
        answered = sum(run.requests for run in runs if run.row == name)
        complaint = gateway.check(answered) if gateway.check else None
        if complaint:
            found.append(f"{name}: {complaint}")
    return found


def read_processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def benchmark(arguments: argparse.Namespace) -> int:
    """Measure, print and write the tables; returns the exit status."""
    rows, scenarios = chosen_rows(arguments.rows), chosen_scenarios(arguments.scenarios)
    programs = build()
    gateway_core, load_core = choose_cores()
    load_average = os.getloadavg()[0]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sluice-bench-")))
        upstream = stack.enter_context(MockUpstream(programs.mock, core=load_core, log=LOGS / "mock.log"))
        place = Place(upstream, gateway_core, load_core, folder, LOGS, arguments.floor)
        gateways = open_rows(rows, place, stack, named=bool(arguments.rows))
        session = Session(programs, upstream, write_bodies(folder), gateways, load_core, arguments.seconds, say)
        try_rows(session, scenarios)
        runs = measure(session, scenarios, arguments.rounds)
        unfinished = unfinished_work(gateways, runs)
    header = report.Header(
        taken_at=time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
        machine=report.Machine(read_processor(), os.cpu_count() or 1, platform.release(), platform.python_version()),
        rounds=arguments.rounds,
        seconds=arguments.seconds,
        gateway_core=gateway_core,
        load_core=load_core,
        load_average=load_average,
        goes_first=upstream.goes_first,
        releases=tuple(row.title for row in rows if row.version and row.name in gateways),
    )
    figures = [row_figures(name, runs) for name in gateways]
    held = bars.hold(runs)
    page = report.write(RESULTS, header, figures, runs, held)
    print(page.read_text())
    say(f"Written to {page} and beside it as JSON.")
    return conclude(unfinished, figures, held, page, write_docs=arguments.write_docs)


def conclude(
    unfinished: Sequence[str], figures: Sequence[RowFigures], held: Sequence[Held], page: Path, *, write_docs: bool
) -> int:
    """Say what failed, put good figures into the documentation if wanted, and return the exit status."""
    for complaint in unfinished:
        say(f"Failed: {complaint}.")
    if unfinished or any(row.complaints for row in figures):
        return 1
    if write_docs:
        DOCUMENT.write_text(report.into_page(DOCUMENT.read_text(), page.read_text()))
        say(f"Put into {DOCUMENT}.")
    late = bars.behind(held)
    for one in late:
        say(f"Behind the bar: {one.bar.title} in {one.bar.scenario} is not {one.bar.wording}.")
    return 1 if late else 0


def main() -> int:
    arguments = parse_arguments(None, os.environ)

    def end(_number: int, _frame: object) -> NoReturn:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, end)  # so that the children are ended as well
    try:
        return benchmark(arguments)
    except BenchError as error:
        say(str(error))
        return 2
    except KeyboardInterrupt:
        say("Stopped.")
        return 130


if __name__ == "__main__":
    sys.exit(main())
