"""A service may have as many connections as the system allows it."""

import subprocess
import sys

import pytest

_SAY = "import resource; from sluice.open_files import allow_many_files; {before}; said = allow_many_files(); print(said, resource.getrlimit(resource.RLIMIT_NOFILE))"


def _told(before: str) -> str:
    code = _SAY.format(before=before)
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.parametrize(
    ("limits", "told"), [("(256, 900)", "900 (900, 900)"), ("(700, 700)", "700 (700, 700)")], ids=["raised", "as it is"]
)
def test_the_soft_limit_becomes_the_hard_one(limits: str, told: str) -> None:
    assert _told(f"resource.setrlimit(resource.RLIMIT_NOFILE, {limits})") == told


def test_a_system_that_refuses_costs_nothing() -> None:
    refuse = (
        "resource.setrlimit(resource.RLIMIT_NOFILE, (256, 900)); "
        "resource.setrlimit = lambda *_: (_ for _ in ()).throw(ValueError('no'))"
    )
    assert _told(refuse) == "256 (256, 900)"
