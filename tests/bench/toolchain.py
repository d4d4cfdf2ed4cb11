"""Compiles the mock upstream and the load generator with the machine's C compiler."""

import hashlib
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.bench.errors import BenchError
from tests.bench.paths import BUILD, NATIVE

COMPILERS = ("gcc", "cc", "clang")
FLAGS = ("-std=c11", "-O2", "-Wall", "-Wextra")
MOCK_SOURCES = ("mock.c", "replies.c", "request.c", "timers.c", "wire.c")
LOAD_SOURCES = ("load.c", "response.c", "wire.c")


class Programs(NamedTuple):
    """The two compiled programs."""

    mock: Path
    load: Path


def find_compiler() -> str | None:
    """Return the path of a C compiler, or None when the machine has none."""
    return next((path for name in COMPILERS if (path := shutil.which(name))), None)


def build(into: Path = BUILD, find: Callable[[], str | None] = find_compiler) -> Programs:
    """Compile what is not compiled yet; the folder's name holds a hash of the sources, so a change builds anew.

    Raises:
        BenchError: there is no C compiler, or it refuses.
    """
    folder = into / _digest()
    programs = Programs(mock=folder / "mock", load=folder / "load")
    if programs.mock.exists() and programs.load.exists():
        return programs
    compiler = find()
    if compiler is None:
        raise BenchError(
            "The benchmark needs a C compiler for its mock upstream and load generator, and this machine has none. "
            "Install one (on Debian: apt-get install gcc libc6-dev) and run it again."
        )
    folder.mkdir(parents=True, exist_ok=True)
    _compile(compiler, MOCK_SOURCES, programs.mock)
    _compile(compiler, LOAD_SOURCES, programs.load)
    return programs


def _digest() -> str:
    digest = hashlib.sha256(" ".join(FLAGS).encode())
    for source in sorted(NATIVE.glob("*.[ch]")):
        digest.update(source.name.encode() + source.read_bytes())
    return digest.hexdigest()[:16]


def _compile(compiler: str, sources: tuple[str, ...], program: Path) -> None:
    unfinished = program.with_suffix(".part")
    command = [compiler, *FLAGS, "-o", str(unfinished), *(str(NATIVE / source) for source in sources), "-lm"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"{compiler} could not build {program.name}:\n{done.stderr.strip()}")
    unfinished.rename(program)
