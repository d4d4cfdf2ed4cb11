"""Installs the gateways that Sluice is compared with, each into an environment of its own: python -m tests.bench.peers."""

import shutil
import subprocess
import sys
from pathlib import Path

from tests.bench.errors import BenchError
from tests.bench.paths import PEER_INPUTS, PEERS


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def run_step(command: list[str], folder: Path | None = None) -> None:
    """Run one installation step and show its output; a failure ends the installation with a sentence."""
    if subprocess.run(command, cwd=folder, check=False).returncode != 0:
        raise BenchError(f"This step failed: {' '.join(command)}")


def install_litellm() -> None:
    """Make a virtual environment and install the locked, hashed packages into it."""
    target = PEERS / "litellm"
    say("Installing LiteLLM's proxy (about 500 MB) …")
    run_step([sys.executable, "-m", "venv", "--without-pip", "--clear", str(target)])
    python = str(target / "bin" / "python")
    lock = str(PEER_INPUTS / "litellm.txt")
    run_step([sys.executable, "-m", "uv", "pip", "install", "--quiet", "-p", python, "--require-hashes", "-r", lock])


def install_portkey() -> None:
    """Install the locked npm packages; no package's own install script runs."""
    npm = shutil.which("npm")
    if npm is None:
        raise BenchError("npm is not installed, so the Portkey row cannot be. Install Node.js 20 or newer with npm.")
    target = PEERS / "portkey"
    say("Installing Portkey's gateway …")
    target.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(PEER_INPUTS / "portkey" / name, target / name)
    run_step([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], folder=target)


def main() -> int:
    """Install both; one that fails does not keep the other away."""
    failed = False
    for install in (install_litellm, install_portkey):
        try:
            install()
        except BenchError as error:
            say(str(error))
            failed = True
    say("Not everything could be installed." if failed else "The peers are installed; make bench measures them.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
