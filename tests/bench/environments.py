"""The peers that live in a virtual environment of their own: what is pinned, what is there, how it gets there."""

import importlib.metadata
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from tests.bench.errors import BenchError
from tests.bench.paths import PEER_INPUTS, PEERS


class PythonPeer(NamedTuple):
    """A peer from a Python package index: `name` is its folder and the name of its lock file."""

    name: str
    package: str
    program: str
    size: str
    environments: Path = PEERS
    inputs: Path = PEER_INPUTS

    @property
    def path(self) -> Path:
        """Where its command is."""
        return self.environments / self.name / "bin" / self.program

    def pinned(self) -> str:
        """Return the version that the lock's input names.

        Raises:
            BenchError: the input does not pin the package.
        """
        file = self.inputs / f"{self.name}.in"
        for line in file.read_text().splitlines():
            package, separator, version = line.strip().partition("==")
            if separator and package.partition("[")[0] == self.package:
                return version
        raise BenchError(f"{file} does not pin {self.package}.")

    def installed(self) -> str | None:
        """Return the version that is in its environment, None when there is none."""
        folders = [str(folder) for folder in (self.environments / self.name).glob("lib/python*/site-packages")]
        found = importlib.metadata.distributions(name=self.package, path=folders)
        return next((one.version for one in found), None) if folders else None

    def missing(self) -> str | None:
        """Say why the row cannot run: it is not installed, or not in the version that is pinned."""
        installed = self.installed()
        if installed is None or not self.path.exists():
            return "it is not installed (make bench-peers installs it)"
        if installed != self.pinned():
            return f"{installed} is installed and {self.pinned()} is pinned (make bench-peers installs it)"
        return None

    def install(self) -> None:
        """Make a virtual environment and install the locked, hashed packages into it."""
        target = self.environments / self.name
        run_step([sys.executable, "-m", "venv", "--without-pip", "--clear", str(target)])
        python = str(target / "bin" / "python")
        # --no-config: what the project says about its own packages does not hold for a peer's
        command = [sys.executable, "-m", "uv", "--no-config", "pip", "install", "--quiet", "-p", python]
        run_step([*command, "--require-hashes", "-r", str(self.inputs / f"{self.name}.txt")])


LITELLM = PythonPeer("litellm", "litellm", "litellm", "about 500 MB")
VLLM_ROUTER = PythonPeer("vllm-router", "vllm-router", "vllm-router", "about 75 MB")
SMG = PythonPeer("smg", "sglang-router", "smg", "about 110 MB")
PYTHON_PEERS = (LITELLM, VLLM_ROUTER, SMG)


def run_step(command: list[str], folder: Path | None = None) -> None:
    """Run one installation step and show its output; a failure ends the installation with a sentence."""
    if subprocess.run(command, cwd=folder, check=False).returncode != 0:
        raise BenchError(f"This step failed: {' '.join(command)}")
