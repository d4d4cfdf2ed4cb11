"""A serving process that is killed is followed by another, and otherwise nothing is different from serving in one process."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from sluice.revive import can_revive
from sluice.testing import wait_until

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not can_revive(), reason="this system does not end a process together with its parent"),
]
PROGRAM = """
import os, signal, socket, sys
from sluice.revive import serve_revived

def serve(listener):
    {before}
    listener.listen()
    while True:
        taken, _ = listener.accept()
        with taken:
            taken.sendall(str(os.getpid()).encode())

signal.signal(signal.SIGINT, signal.default_int_handler)  # also where whoever started this ignores it
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
serve_revived(serve, listener)
"""


@contextmanager
def program(before: str = "pass") -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """Run a program that tells who serves, and yield it with its port."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(before=before)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield process, int(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


def said(port: int) -> str:
    """Return what is answered; it waits in the queue while nobody serves."""
    with closing(socket.create_connection(("127.0.0.1", port), timeout=60)) as asked:
        return asked.recv(64).decode()


def who(port: int) -> int:
    """Return the process id of who answers."""
    return int(said(port))


def first(port: int) -> int:
    """Return who answers first, once somebody listens."""
    found = wait_until(lambda: who(port), seconds=60, every=0.02, what="an answer")
    assert found is not None
    return found


def test_a_killed_process_is_followed_by_another_and_no_connection_is_refused() -> None:
    with program() as (process, port):
        served = first(port)
        assert served != process.pid
        os.kill(served, signal.SIGKILL)
        begun = time.monotonic()
        following = ""
        while following in ("", str(served)):  # what it took while it was dying; refused, it would raise
            following = said(port)
        assert time.monotonic() - begun < 10, "no pause before the first one that follows"
        assert following != str(process.pid)
        assert process.poll() is None


def test_who_dies_again_and_again_is_started_with_longer_and_longer_pauses(tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    before = f"import time; open({str(starts)!r}, 'a').write(f'{{time.monotonic()}}\\n'); os.kill(os.getpid(), 9)"
    with program(before) as (process, _):

        def pauses_grow() -> bool:
            at = [float(line) for line in starts.read_text().splitlines() if line]
            pauses = [after - one for one, after in pairwise(at)]
            return any(
                0.1 <= a < b < c and b >= 0.2 and c >= 0.4
                for a, b, c in zip(pauses, pauses[1:], pauses[2:], strict=False)
            )

        wait_until(pauses_grow, what="longer and longer pauses")
        wait_until(lambda: not psutil.Process(process.pid).children(), every=0.01, what="a pause")
        process.terminate()
        assert process.wait(60) == -signal.SIGTERM


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_end_both_end_by_the_signal(number: signal.Signals) -> None:
    with program() as (process, port):
        served = first(port)
        process.send_signal(number)
        assert process.wait(60) == -number
        assert not psutil.pid_exists(served)


@pytest.mark.parametrize(("before", "status"), [("sys.exit(3)", 3), ("raise ValueError('no')", 1), ("return", 0)])
def test_who_ends_by_itself_is_not_started_again(before: str, status: int) -> None:
    with program(before) as (process, _):
        assert process.wait(60) == status


def test_who_waits_takes_the_serving_process_along_when_it_is_killed() -> None:
    with program() as (process, port):
        served = first(port)
        process.kill()
        wait_until(lambda: not psutil.pid_exists(served), seconds=60, every=0.01, what="the end of the serving process")
        with pytest.raises(ConnectionRefusedError):
            who(port)
