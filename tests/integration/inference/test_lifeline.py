"""The program that keeps foreign engines from outliving their service."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.integration.inference.inference_process import gone, kill

from sluice.testing import wait_until

pytestmark = pytest.mark.integration
LIFELINE = [sys.executable, "-m", "sluice_inference.engines.lifeline", "--"]


def below_lifeline(program: str, folder: Path) -> tuple[subprocess.Popen[bytes], int]:
    """Start a Python program below the lifeline and return the lifeline and the program's process id."""
    note = folder / "pid"
    script = f"import os, pathlib; pathlib.Path({str(note)!r}).write_text(str(os.getpid()))\n{program}"
    lifeline = subprocess.Popen(
        [*LIFELINE, sys.executable, "-c", script], stdin=subprocess.PIPE, start_new_session=True
    )
    wait_until(lambda: note.exists() and note.read_text(), what="the program's start")
    return lifeline, int(note.read_text())


def test_the_program_ends_when_the_lifeline_is_let_go(tmp_path: Path) -> None:
    lifeline, pid = below_lifeline("import time; time.sleep(300)", tmp_path)
    assert lifeline.stdin is not None
    lifeline.stdin.close()
    lifeline.wait(15)
    assert gone(pid)


def test_a_grandchild_that_ignores_the_request_is_killed_too(tmp_path: Path) -> None:
    program = (
        "import signal, subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(300)'])\n"
        f"open({str(tmp_path / 'child')!r}, 'w').write(str(child.pid))\n"
        "time.sleep(300)"
    )
    lifeline, pid = below_lifeline(program, tmp_path)
    child = wait_until(lambda: (tmp_path / "child").exists() and (tmp_path / "child").read_text(), what="a grandchild")
    assert lifeline.stdin is not None
    lifeline.stdin.close()
    lifeline.wait(15)
    wait_until(lambda: gone(pid) and gone(int(str(child))), what="the end of both")


def test_a_request_to_end_is_passed_on(tmp_path: Path) -> None:
    lifeline, pid = below_lifeline("import time; time.sleep(300)", tmp_path)
    lifeline.terminate()
    assert lifeline.wait(15) == 128 + 15
    assert gone(pid)


def test_the_status_is_the_programs_own() -> None:
    with subprocess.Popen([*LIFELINE, sys.executable, "-c", "raise SystemExit(7)"], stdin=subprocess.PIPE) as lifeline:
        assert lifeline.wait(15) == 7


def test_a_program_that_is_not_there_is_said() -> None:
    done = subprocess.run([*LIFELINE, "/no/such/program"], stdin=subprocess.PIPE, capture_output=True, timeout=15)
    assert (done.returncode, done.stderr) == (127, b"/no/such/program cannot be started: No such file or directory.\n")


def test_killing_the_program_is_seen_at_once(tmp_path: Path) -> None:
    lifeline, pid = below_lifeline("import time; time.sleep(300)", tmp_path)
    began = time.monotonic()
    kill(pid)
    assert lifeline.wait(15) == 128 + 9
    assert time.monotonic() - began < 5
