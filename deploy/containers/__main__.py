"""`make containers`: builds the images, runs docker-compose.yml's core profile with podman, and tests it end to end.

Needs root on Debian with podman and the programs named in `engine.PACKAGES`. Images and containers live under `--state`;
the host's own podman or Docker storage is never used.
"""

import argparse
import contextlib
import os
import subprocess
import sys
from pathlib import Path

from bases import Base, from_registry, is_standin, make_standins
from engine import REPOSITORY, Engine, Failed, install_tools, say
from stack import BASE_URL, RECORDER_URL, Stack

BASES = [
    Base("docker.io/library/python:3.11-slim-bookworm", "python.Containerfile"),
    Base("docker.io/library/postgres:18.3-bookworm", "postgres.Containerfile"),
    Base("docker.io/valkey/valkey:9.1.1-alpine", "valkey.Containerfile"),
]
IMAGES = ["gateway", "router", "guardrail", "retrieval", "inference", "finetune", "eval", "feedback"]


def main() -> int:
    """Run all steps and return the exit status."""
    options = _options()
    engine = Engine(options.state)
    logs = options.state / "logs"
    try:
        engine.prepare()
        stack = Stack(engine, install_tools(options.state))
        _make_room(stack, logs)
        _bases(engine, options.bases, logs / "bases.log")
        stack.build(IMAGES, logs / "build.log")
        stack.forget_old_images(logs / "build.log")
        return _run(stack, logs, keep=options.keep, tests=options.tests)
    except Failed as error:
        say(f"failed: {error}")
        return 1
    except KeyboardInterrupt:
        say("interrupted; what was built stays for the next run")
        return 130


def _make_room(stack: Stack, logs: Path) -> None:
    if stack.containers():
        say("removing what an earlier run left")
        stack.down(logs / "compose.log")
    stack.refuse_taken_ports()


def _run(stack: Stack, logs: Path, *, keep: bool, tests: str) -> int:
    try:
        stack.up(logs / "compose.log")
        stack.wait(seconds=300)
        for line in stack.memory():
            say(line)
        status = _end_to_end(stack, tests) if tests else 0
    finally:
        with contextlib.suppress(Failed):  # of a container that never ran; it must not hide what went wrong
            stack.save_logs(logs / "containers")
        if keep:
            say(f"left running at {BASE_URL}; secrets in {stack.env_file}")
        else:
            stack.down(logs / "compose.log")
    say("passed" if status == 0 else f"the tests failed; logs in {logs}/containers")
    return status


def _bases(engine: Engine, choice: str, log: Path) -> None:
    names = [base.name for base in BASES]
    standins_are_there = choice == "auto" and is_standin(engine, names[0])
    if choice != "local" and not standins_are_there:
        if from_registry(engine, names):
            return
        if choice == "registry":
            raise Failed(f"{names[0]} cannot be pulled. With --bases local, stand-ins are made instead.")
        say("no registry can be reached: making stand-ins for the base images")
    make_standins(engine, BASES, log)


def _end_to_end(stack: Stack, tests: str) -> int:
    say(f"end-to-end tests against {BASE_URL}")
    environment = {
        **os.environ,  # noqa: TID251 - pytest inherits the caller's environment
        "SLUICE_E2E_BASE_URL": BASE_URL,
        "SLUICE_E2E_API_KEY": stack.make_key("tests"),
        "SLUICE_E2E_ADMIN_KEY": stack.read_secrets()["SLUICE_ADMIN_KEY"],
        "SLUICE_E2E_TRACE_DIR": str(stack.traces),
        "SLUICE_E2E_RECORDER_URL": RECORDER_URL,
        "SLUICE_E2E_INFERENCE_PID": str(stack.process_of("inference")),
    }
    command = [sys.executable, "-m", "pytest", "-q", "-m", "e2e", *tests.split()]
    return subprocess.run(command, cwd=REPOSITORY, env=environment, check=False).returncode


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make containers", description=__doc__)
    parser.add_argument("--state", type=Path, default=Path("/var/lib/sluice-containers"), help="images, logs, caches")
    parser.add_argument("--bases", choices=["auto", "registry", "local"], default="auto", help="base images")
    parser.add_argument("--keep", action="store_true", help="leave the containers running")
    parser.add_argument("--tests", default="tests/e2e", help="what pytest runs against it; empty for nothing")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
