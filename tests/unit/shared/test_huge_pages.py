"""A process moves what it has loaded into huge pages, and goes on as before."""

import subprocess
import sys
from pathlib import Path

import pytest

from sluice.testing import wait_until

_SETTING = Path("/sys/kernel/mm/transparent_hugepage/enabled")
_PROGRAM = """
from sluice.huge_pages import use_huge_pages
loaded = b"x" * (8 << 20)
moved = use_huge_pages()
assert loaded.count(b"x") == 8 << 20
print(moved)
"""


def _moved() -> int:
    return int(subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, check=True, timeout=60).stdout)


@pytest.mark.skipif(
    not _SETTING.exists() or "[never]" in _SETTING.read_text(), reason="the system offers no huge pages"
)
def test_loaded_memory_lies_in_huge_pages() -> None:
    # A machine whose memory is in pieces has none to give for a while.
    moved = wait_until(lambda: (found := _moved()) >= 4 << 20 and found, every=1, what="huge pages")
    assert moved % (2 << 20) == 0


@pytest.mark.skipif(_SETTING.exists() and "[never]" not in _SETTING.read_text(), reason="the system offers huge pages")
def test_without_them_nothing_is_moved() -> None:
    assert _moved() == 0
