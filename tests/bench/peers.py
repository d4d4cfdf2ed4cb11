"""Installs the gateways that Sluice is compared with, each into an environment of its own: python -m tests.bench.peers."""

import shutil
import sys
from collections.abc import Callable
from functools import partial

from tests.bench.environments import PYTHON_PEERS, PythonPeer, run_step
from tests.bench.errors import BenchError
from tests.bench.paths import PEER_INPUTS, PEERS
from tests.bench.rows import nginx


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def install_python(peer: PythonPeer) -> None:
    """Make the environment of a peer that comes from a Python package index."""
    say(f"Installing {peer.package} {peer.pinned()} ({peer.size}) …")
    peer.install()


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


def find_nginx() -> None:
    """See that nginx is there: it comes from the machine's own packages."""
    if nginx.program() is None:
        raise BenchError(f"The nginx row cannot be: {nginx.NOT_INSTALLED}.")
    say(f"nginx {nginx.version()} is there.")


STEPS: tuple[Callable[[], None], ...] = (
    *(partial(install_python, peer) for peer in PYTHON_PEERS),
    install_portkey,
    find_nginx,
)


def main() -> int:
    """Install all; one that fails does not keep the others away."""
    failed = False
    for step in STEPS:
        try:
            step()
        except BenchError as error:
            say(str(error))
            failed = True
    say("Not everything could be installed." if failed else "The peers are installed; make bench measures them.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
