"""The platform in containers: build, start, wait until it is healthy, stop."""

import json
import secrets
import socket
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from engine import REPOSITORY, Engine, Failed, say

PROJECT = "sluice-ci"
COMPOSE_FILES = ("docker-compose.yml", "deploy/compose/local.yml", "deploy/compose/recorded.yml")
FILES = tuple(part for name in COMPOSE_FILES for part in ("-f", str(REPOSITORY / name)))
COMPOSE = Path(sys.executable).parent / "docker-compose"
BASE_URL = "http://127.0.0.1:18080"
RECORDER_URL = "http://127.0.0.1:18090"
RECORDER_INSIDE = "http://recorder:9000"
MAX_ENDS = 5
KEEP_LAYERS = "72h"
SECRETS = (
    "SLUICE_ADMIN_KEY",
    "SLUICE_SERVICE_SECRET",
    "SLUICE_GATEWAY_KEY_PEPPER",
    "POSTGRES_PASSWORD",
    "REDIS_PASSWORD",
)


PROFILES = "guardrail,retrieval,inference,finetune,eval,feedback"


@dataclass(frozen=True, slots=True)
class Stack:
    """One compose project, always the same name, so that a run finds and removes what an earlier one left."""

    engine: Engine
    compose: Path

    @property
    def env_file(self) -> Path:
        """The secrets of this project, kept from run to run."""
        return self.engine.state / "secrets.env"

    @property
    def traces(self) -> Path:
        """Where the containers write their traces, for tests to read."""
        return self.engine.state / "traces"

    @property
    def config(self) -> Path:
        """The configuration of the router: the shipped one and the recorded model."""
        return self.engine.state / "config"

    def read_secrets(self) -> dict[str, str]:
        """Return the secrets, and make those that are missing."""
        self.env_file.touch(mode=0o600)
        lines = self.env_file.read_text(encoding="utf-8").splitlines()
        found = dict(line.split("=", 1) for line in lines if line)
        missing = {name: secrets.token_hex(24) for name in SECRETS if name not in found}
        if missing:
            self._write_secrets(found | missing)
        return found | missing

    def run(self, *arguments: str, log: Path | None = None) -> None:
        """Run podman-compose on the project."""
        command = (str(self.compose), "-p", PROJECT, "--env-file", str(self.env_file), *FILES, *arguments)
        self.engine.run(*command, extra=self._variables(), log=log)

    def build(self, images: list[str], log: Path) -> None:
        """Build the images of these services from the project's Dockerfiles."""
        for number, name in enumerate(images, 1):
            say(f"image {number} of {len(images)}: {name}")
            self.run("--podman-build-args=--network host --format docker", "build", name, log=log)

    def forget_old_images(self, log: Path) -> None:
        """Remove layers that no image uses any more and that are too old to be of use to the next build."""
        self.engine.run("podman", "image", "prune", "--force", "--filter", f"until={KEEP_LAYERS}", log=log)

    def refuse_taken_ports(self) -> None:
        """Look whether the ports that this project publishes are free.

        Raises:
            Failed: something else listens on one of them.
        """
        for url in (BASE_URL, RECORDER_URL):
            address = urllib.parse.urlsplit(url)
            with socket.socket() as probe:
                if probe.connect_ex((address.hostname, address.port)) == 0:
                    raise Failed(f"Port {address.port} is in use: stop what listens there, then run it again.")

    def up(self, log: Path) -> None:
        """Start the containers of the core profile."""
        self.traces.mkdir(exist_ok=True)
        self.traces.chmod(0o777)  # the containers' user is not the host's
        for file in self.traces.iterdir():
            file.unlink()
        write_config = str(REPOSITORY / "tests" / "e2e" / "e2e_config.py")
        self.engine.run(sys.executable, write_config, str(self.config), RECORDER_INSIDE)
        say("starting the containers")
        self.run("up", "-d", "--no-build", *self._services(), log=log)

    def make_key(self, name: str) -> str:
        """Make an API key, as docs/how-to/deploy.md says.

        Raises:
            Failed: the gateway made none.
        """
        request = urllib.request.Request(
            f"{BASE_URL}/admin/keys",
            data=json.dumps({"name": name}).encode(),
            headers={
                "authorization": f"Bearer {self.read_secrets()['SLUICE_ADMIN_KEY']}",
                "content-type": "application/json",
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return str(json.load(answer)["key"])
        except (urllib.error.URLError, OSError) as error:
            raise Failed(f"The gateway made no API key: {error}") from error

    def wait(self, seconds: float) -> None:
        """Wait until every container's own health check passes and the gateway says that it is ready.

        Raises:
            Failed: one was not healthy in time, or ends again and again; the sentence names it and shows its log's end.
        """
        say("waiting until every container is healthy")
        started = time.monotonic()
        waiting = self.containers()
        while waiting:
            # All in one pass: one that was healthy and died since is noticed.
            waiting = [name for name in self.containers() if not self._healthy(name)]
            self._give_up_on(waiting, late=time.monotonic() - started > seconds)
            time.sleep(2 if waiting else 0)
        while not _ready(f"{BASE_URL}/readyz"):
            if time.monotonic() - started > seconds:
                raise Failed(f"{BASE_URL}/readyz does not say ready after {seconds:.0f} s.")
            time.sleep(1)
        say(f"healthy after {time.monotonic() - started:.0f} s")

    def containers(self) -> list[str]:
        """Return the names of this project's containers."""
        return self._names("--filter", f"label=io.podman.compose.project={PROJECT}")

    def memory(self) -> list[str]:
        """Return each container's memory in use and its limit, as podman prints them."""
        _, text = self.engine.answer("podman", "stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}}")
        return [line for line in text.splitlines() if line.startswith(PROJECT)]

    def save_logs(self, folder: Path) -> None:
        """Write each container's log into a file."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in self.containers():
            log = folder / f"{name}.log"
            log.unlink(missing_ok=True)
            self.engine.run("podman", "logs", name, log=log)

    def down(self, log: Path) -> None:
        """Stop and remove the project's containers, its network and its volumes."""
        say("stopping the containers")
        self.run("down", "--volumes", "--timeout", "20", log=log)

    def process_of(self, service: str) -> int:
        """Return the id, on this host, of the first process of a service's container.

        Raises:
            Failed: it has no container that runs.
        """
        label = f"label=com.docker.compose.service={service}"
        names = set(self._names("--filter", label)) & set(self.containers())
        status, text = self.engine.answer("podman", "inspect", "--format", "{{.State.Pid}}", *names)
        if len(names) != 1 or status or text == "0":
            raise Failed(f"The container of {service} does not run.")
        return int(text)

    def _give_up_on(self, waiting: list[str], *, late: bool) -> None:
        for name in waiting:
            if late or self._ends(name) >= MAX_ENDS:
                what = "are not healthy in time" if late else f"cannot start: {name} ended {MAX_ENDS} times"
                raise Failed(f"{', '.join(waiting)} {what}. {self._last_lines(name)}")

    def _ends(self, name: str) -> int:
        status, text = self.engine.answer("podman", "inspect", "--format", "{{.RestartCount}}", name)
        return 0 if status else int(text)

    def _last_lines(self, name: str) -> str:
        command = ("sh", "-c", 'podman logs --tail 15 "$1" 2>&1', "sh", name)
        return f"The end of the log of {name}:\n{self.engine.answer(*command)[1]}"

    def _names(self, *filters: str) -> list[str]:
        _, text = self.engine.answer("podman", "ps", "-a", *filters, "--format", "{{.Names}}")
        return sorted(text.split())

    def _variables(self) -> dict[str, str]:
        folders = {"SLUICE_CI_TRACES": str(self.traces), "SLUICE_CI_CONFIG": str(self.config)}
        return folders | {"COMPOSE_PROFILES": PROFILES} | self.read_secrets()

    def _services(self) -> list[str]:
        status, text = self.engine.answer(str(COMPOSE), *FILES, "config", "--services", extra=self._variables())
        if status:
            raise Failed("docker-compose.yml is not valid: `docker compose config` says why.")
        return text.split()

    def _write_secrets(self, found: dict[str, str]) -> None:
        self.env_file.write_text("".join(f"{key}={text}\n" for key, text in found.items()), encoding="utf-8")

    def _healthy(self, name: str) -> bool:
        # `podman healthcheck run` also answers 0 while the start period lasts, so its command is run directly.
        status, text = self.engine.answer("podman", "inspect", "--format", "{{json .Config.Healthcheck.Test}}", name)
        if status:
            return False
        kind, *command = json.loads(text)
        if kind == "CMD-SHELL":
            command = ["sh", "-c", *command]
        return self.engine.answer("podman", "exec", name, *command)[0] == 0


def _ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status == 200 and "status" in json.load(answer)
    except (urllib.error.URLError, OSError, ValueError):
        return False
