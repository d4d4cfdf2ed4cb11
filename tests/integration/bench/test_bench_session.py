"""Measuring for real: rows that answer right, wrong, and from a cache."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.bench.children import Child
from tests.bench.errors import BenchError
from tests.bench.figures import row_figures
from tests.bench.loadgen import Target
from tests.bench.mock import MockUpstream
from tests.bench.procfs import family, read_all_stats
from tests.bench.rows.base import Gateway
from tests.bench.run import choose_cores, chosen_scenarios
from tests.bench.scenarios import Bodies
from tests.bench.session import Session, measure, try_rows
from tests.bench.toolchain import Programs

from sluice.testing import wait_until

pytestmark = pytest.mark.integration


def session_of(
    programs: Programs, upstream: MockUpstream, bodies: Bodies, gateways: Mapping[str, Gateway], said: list[str]
) -> Session:
    return Session(programs, upstream, bodies, gateways, load_core=choose_cores()[1], seconds=1, say=said.append)


def test_direct_is_measured_without_a_complaint(programs: Programs, upstream: MockUpstream, bodies: Bodies) -> None:
    said: list[str] = []
    gateways = {"direct": Gateway(Target(upstream.port))}
    scenarios = chosen_scenarios("json-32,stream-32")
    session = session_of(programs, upstream, bodies, gateways, said)
    try_rows(session, scenarios)
    runs = measure(session, scenarios, rounds=1)
    assert [run.scenario for run in runs] == ["json-32", "stream-32"]
    assert all(run.requests > 0 and run.complaint is None for run in runs)
    assert row_figures("direct", runs).complaints == ()
    assert len(said) == 2
    assert said[0].startswith("[  1/2]")


def test_a_row_that_refuses_stops_the_benchmark(programs: Programs, upstream: MockUpstream, bodies: Bodies) -> None:
    gateways = {"broken": Gateway(Target(upstream.port, path="/v1/nowhere"))}
    session = session_of(programs, upstream, bodies, gateways, [])
    with pytest.raises(BenchError, match=r"broken does not answer .* nothing is measured: .*404"):
        try_rows(session, chosen_scenarios("json-1"))


def test_answers_that_no_upstream_gave_are_a_complaint(
    programs: Programs, upstream: MockUpstream, bodies: Bodies, tmp_path: Path
) -> None:
    # A second mock stands for a gateway that answers all by itself: right answers, but none from the upstream.
    with MockUpstream(programs.mock, core=choose_cores()[1], log=tmp_path / "cache.log") as cache:
        session = session_of(programs, upstream, bodies, {"cache": Gateway(Target(cache.port))}, [])
        (run,) = measure(session, chosen_scenarios("json-1"), rounds=1)
    assert run.complaint is not None
    assert "only 0 upstream requests: something was cached" in run.complaint


def test_a_child_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    script = "sleep 60 & sleep 60 & echo started; wait"
    with Child("a shell", ["sh", "-c", script], core=choose_cores()[0], log=tmp_path / "shell.log") as child:
        child.wait_until(lambda: "started" in child.log_tail(), 5.0)
        started = {member.pid for member in family(child.pid, read_all_stats())}
        assert len(started) == 3
    wait_until(lambda: not started & {stat.pid for stat in read_all_stats()}, seconds=60, what="the end of all three")


def test_a_child_that_ends_early_shows_its_log(tmp_path: Path) -> None:
    command = ["sh", "-c", "echo the port is taken; exit 3"]
    with (
        Child("the gateway", command, core=choose_cores()[0], log=tmp_path / "early.log") as child,
        pytest.raises(BenchError, match=r"the gateway ended with status 3:\nthe port is taken"),
    ):
        child.wait_until(lambda: False, 5.0)


def test_the_cache_is_asked_only_of_rows_that_have_one_and_has_to_answer_itself(
    programs: Programs, upstream: MockUpstream, bodies: Bodies, tmp_path: Path
) -> None:
    with MockUpstream(programs.mock, core=choose_cores()[1], log=tmp_path / "cache.log") as cache:
        gateways = {
            "none": Gateway(Target(upstream.port)),
            "forgetful": Gateway(Target(upstream.port), caches=True),
            "cache": Gateway(Target(cache.port), caches=True),
        }
        session = session_of(programs, upstream, bodies, gateways, [])
        forgetful, cached = measure(session, chosen_scenarios("cache-hit"), rounds=1)
    assert forgetful.complaint is not None
    assert "answers did not come from the cache" in forgetful.complaint
    assert (cached.row, cached.complaint) == ("cache", None)
    assert row_figures("cache", [cached]).hits_per_second is not None
