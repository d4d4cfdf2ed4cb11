"""The program that keeps foreign engines from outliving their service."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.integration.inference.inference_process import gone, kill

from sluice.testing import wait_until

pytestmark = pytest.mark.integration
LIFELINE = [sys.executable, "-m", "sluice_inference.engines.lifeline", "--"]


@contextmanager
def below_lifeline(program: str, folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Start a Python program below the lifeline and yield the lifeline and the program's process id."""
    note = folder / "pid"
    script = f"import os, pathlib; pathlib.Path({str(note)!r}).write_text(str(os.getpid()))\n{program}"
    command = [*LIFELINE, sys.executable, "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True) as lifeline:
        wait_until(lambda: note.exists() and note.read_text(), what="the program's start")
        yield lifeline, int(note.read_text())


def let_go(lifeline: subprocess.Popen[bytes]) -> None:
    assert lifeline.stdin is not None
    lifeline.stdin.close()
    lifeline.wait(60)


def test_the_program_ends_when_the_lifeline_is_let_go(tmp_path: Path) -> None:
    with below_lifeline("import time; time.sleep(300)", tmp_path) as (lifeline, pid):
        let_go(lifeline)
        assert gone(pid)


def test_what_the_program_started_is_killed_with_it(tmp_path: Path) -> None:
    stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(300)"
    program = (
        "import pathlib, subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-c', {stubborn!r}])\n"
        f"pathlib.Path({str(tmp_path / 'child')!r}).write_text(str(child.pid))\n"
        "time.sleep(300)"
    )
    with below_lifeline(program, tmp_path) as (lifeline, pid):
        note = tmp_path / "child"
        wait_until(lambda: note.exists() and note.read_text(), what="a grandchild")
        grandchild = int(note.read_text())
        let_go(lifeline)
        wait_until(lambda: gone(pid) and gone(grandchild), seconds=60, what="the end of both")


def test_a_request_to_end_is_passed_on(tmp_path: Path) -> None:
    with below_lifeline("import time; time.sleep(300)", tmp_path) as (lifeline, pid):
        lifeline.terminate()
        assert lifeline.wait(60) == 128 + 15
        assert gone(pid)


def test_the_status_is_the_programs_own() -> None:
    with subprocess.Popen([*LIFELINE, sys.executable, "-c", "raise SystemExit(7)"], stdin=subprocess.PIPE) as lifeline:
        assert lifeline.wait(60) == 7


def test_a_program_that_is_not_there_is_said() -> None:
    done = subprocess.run([*LIFELINE, "/no/such/program"], stdin=subprocess.PIPE, capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (127, b"/no/such/program cannot be started: No such file or directory.\n")


def test_killing_the_program_is_seen_at_once(tmp_path: Path) -> None:
    with below_lifeline("import time; time.sleep(300)", tmp_path) as (lifeline, pid):
        began = time.monotonic()
        kill(pid)
        assert lifeline.wait(60) == 128 + 9
        assert time.monotonic() - began < 30
