"""Runs podman and podman-compose with storage and settings of their own, so that nothing on the host is touched."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
TOOLS = ("podman", "buildah", "runc", "debootstrap", "iptables", "catatonit")
# Health checks are run by `stack.py`, with and without systemd; podman and podman-compose warn of it for every container.
NOISE = ("unable to get systemd connection", "condition check due to podman")
PACKAGES = "podman buildah runc debootstrap netavark aardvark-dns iptables catatonit uidmap"


class Failed(Exception):
    """A step did not work; the sentence says which, and what to look at."""


def say(text: str) -> None:
    """Print one line of progress with the time of day."""
    print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)


@dataclass(frozen=True, slots=True)
class Engine:
    """Podman with its images and containers under `state`, away from the host's own."""

    state: Path

    @property
    def environment(self) -> dict[str, str]:
        """The variables that lead podman and buildah to our settings and storage."""
        return {
            **os.environ,  # noqa: TID251 - child processes inherit the caller's environment
            "CONTAINERS_CONF": str(HERE / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(self.state / "storage.conf"),
            "BUILDAH_FORMAT": "docker",
            "TMPDIR": str(self.state / "tmp"),  # buildah keeps pip's cache there
        }

    def prepare(self) -> None:
        """Write the storage settings.

        Raises:
            Failed: not root, or a program is missing.
        """
        if os.geteuid() != 0:
            raise Failed("Run it as root: making base images needs a chroot and mounts.")
        missing = [tool for tool in TOOLS if not _on_path(tool)]
        if missing:
            raise Failed(
                f"{', '.join(missing)} not found. On Debian: apt-get install --no-install-recommends {PACKAGES}"
            )
        (self.state / "tmp").mkdir(parents=True, exist_ok=True)
        storage = self.state / "storage.conf"
        storage.write_text(
            f'[storage]\ndriver = "overlay"\ngraphroot = "{self.state}/storage"\nrunroot = "/run/sluice-containers"\n',
            encoding="utf-8",
        )

    def run(self, *arguments: str, extra: Mapping[str, str] | None = None, log: Path | None = None) -> None:
        """Run a command in the repository; its output goes to `log`, or to the terminal.

        Raises:
            Failed: it ended with an error.
        """
        environment = {**self.environment, **(extra or {})}
        if log is None:
            result = subprocess.run(arguments, cwd=REPOSITORY, env=environment, check=False)
        else:
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("ab") as file:
                result = subprocess.run(
                    arguments, cwd=REPOSITORY, env=environment, check=False, stdout=file, stderr=subprocess.STDOUT
                )
        if result.returncode:
            raise Failed(_sentence(arguments, result.returncode, log))

    def answer(self, *arguments: str, extra: Mapping[str, str] | None = None) -> tuple[int, str]:
        """Run a command quietly and return its exit status and output."""
        environment = {**self.environment, **(extra or {})}
        result = subprocess.run(arguments, cwd=REPOSITORY, env=environment, check=False, capture_output=True, text=True)
        return result.returncode, result.stdout.strip()

    def has_image(self, name: str) -> bool:
        """Whether an image with this name is in the storage."""
        return self.answer("podman", "image", "exists", name)[0] == 0


def install_tools(state: Path) -> Path:
    """Install podman-compose into an environment of its own and return its path."""
    environment = state / "tools"
    program = environment / "bin" / "podman-compose"
    stamp = environment / "tools.txt"
    wanted = (HERE / "tools.txt").read_text(encoding="utf-8")
    if program.exists() and stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return program
    say("installing podman-compose")
    uv("venv", "--quiet", "--clear", str(environment))
    uv("pip", "install", "--quiet", "--python", str(environment), "--require-hashes", "-r", str(HERE / "tools.txt"))
    stamp.write_text(wanted, encoding="utf-8")
    return program


def uv(*arguments: str) -> None:
    """Run the uv of the environment that runs this script.

    Raises:
        Failed: it ended with an error.
    """
    beside = Path(sys.executable).parent / "uv"
    command = [str(beside) if beside.exists() else "uv", *arguments]
    if subprocess.run(command, check=False).returncode:
        raise Failed(f"{' '.join(command)} failed; its message stands above.")


def tail(log: Path, lines: int = 30) -> str:
    """Return the last lines of a log file, without what podman always says here."""
    text = log.read_text(encoding="utf-8", errors="replace")
    return "\n".join([line for line in text.splitlines() if not any(part in line for part in NOISE)][-lines:])


def _sentence(arguments: Sequence[str], status: int, log: Path | None) -> str:
    shown = " ".join(arguments[:6])
    if log is None:
        return f"`{shown}` ended with status {status}; its message stands above."
    return f"`{shown}` ended with status {status}. The end of {log}:\n{tail(log)}"


def _on_path(tool: str) -> bool:
    # Debian keeps some of them in /usr/sbin, which is not on every PATH.
    folders = [*os.environ.get("PATH", "").split(":"), "/usr/sbin", "/sbin"]  # noqa: TID251 - looking for programs
    return any((Path(folder) / tool).exists() for folder in folders)
