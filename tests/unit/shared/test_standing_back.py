"""A worker gets less of what processors are short of, and short slices where the system has them."""

import os
import platform
import subprocess
import sys

import pytest

_ASKED = """
import ctypes, os, struct, sys
from pathlib import Path
from sluice.standing_back import _take_short_slices, stand_back

before = os.getpriority(os.PRIO_PROCESS, 0)
stand_back(3)
said = ctypes.create_string_buffer(56)
number = {"x86_64": 315, "aarch64": 275}.get(sys.argv[1])
slice_ns = 0
if number is not None and ctypes.CDLL(None).syscall(number, 0, said, 56, 0) == 0:
    slice_ns = struct.unpack_from("=Q", said, 24)[0]
group = Path("/proc/self/autogroup")
print(os.getpriority(os.PRIO_PROCESS, 0) - before, slice_ns, group.read_text().split()[-1] if group.exists() else "-", _take_short_slices())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="slices are Linux's")
def test_a_process_that_stands_back_weighs_less_and_has_short_slices() -> None:
    told = subprocess.run(
        [sys.executable, "-c", _ASKED, platform.machine()],
        capture_output=True, text=True, check=True, start_new_session=True,
    ).stdout.split()  # fmt: skip
    release = tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2])
    assert told[0] == "3"
    if release >= (6, 12) and told[3] == "True":  # containers may forbid the call
        assert told[1] == "100000"
    assert told[2] in ("3", "-")
