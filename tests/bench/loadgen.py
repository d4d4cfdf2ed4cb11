"""Runs the load generator and reads its report."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

from tests.bench.children import let_go_first
from tests.bench.errors import BenchError
from tests.bench.mock import WORDS

MAX_REQUESTS = 2_000_000
GRACE_SECONDS = 30


class Target(NamedTuple):
    """Where requests go, and the headers that this gateway wants."""

    port: int
    path: str = "/v1/chat/completions"
    headers: tuple[str, ...] = ()


class Percentiles(NamedTuple):
    """Milliseconds."""

    p50: float
    p95: float
    p99: float


class LoadReport(NamedTuple):
    """What one run of the load generator saw; `ok` counts answers that were right in status, length and content."""

    ok: int
    bad_status: int
    wrong_words: int
    broken: int
    elapsed_s: float
    rps: float
    latency: Percentiles
    first_word: Percentiles
    first_bad_status: int
    first_bad_body: str

    @property
    def complaint(self) -> str | None:
        """One sentence about what went wrong, or None when every answer was right."""
        if self.ok > 0 and self.bad_status + self.wrong_words + self.broken == 0:
            return None
        parts = [f"{self.ok} right answers"]
        if self.bad_status:
            parts.append(f"{self.bad_status} refused (first: {self.first_bad_status} {self.first_bad_body})")
        if self.wrong_words:
            parts.append(f"{self.wrong_words} without all {WORDS} words")
        if self.broken:
            parts.append(f"{self.broken} cut off, malformed or too late")
        return ", ".join(parts)


def parse_report(text: str) -> LoadReport:
    """Read the load generator's JSON line."""
    raw = json.loads(text)

    def percentiles(found: dict[str, Any]) -> Percentiles:
        return Percentiles(float(found["p50"]), float(found["p95"]), float(found["p99"]))

    return LoadReport(
        ok=int(raw["ok"]),
        bad_status=int(raw["bad_status"]),
        wrong_words=int(raw["wrong_words"]),
        broken=int(raw["broken"]),
        elapsed_s=float(raw["elapsed_s"]),
        rps=float(raw["rps"]),
        latency=percentiles(raw["latency_ms"]),
        first_word=percentiles(raw["first_word_ms"]),
        first_bad_status=int(raw["first_bad_status"]),
        first_bad_body=str(raw["first_bad_body"]),
    )


def run_load(
    program: Path,
    target: Target,
    body: Path,
    *,
    connections: int,
    seconds: int,
    core: int,
    max_requests: int = MAX_REQUESTS,
) -> LoadReport:
    """Run the load generator once on its core and wait for its report."""
    command = [str(program), "--port", str(target.port), "--path", target.path, "--body", str(body)]
    command += ["--connections", str(connections), "--seconds", str(seconds)]
    command += ["--max-requests", str(max_requests), "--expect-words", str(WORDS)]
    for header in target.headers:
        command += ["--header", header]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, start_new_session=True) as process:
        os.sched_setaffinity(process.pid, {core})
        let_go_first(process.pid)
        try:
            output, complaint = process.communicate(timeout=seconds + GRACE_SECONDS)
        except BaseException:
            process.kill()
            raise
    if process.returncode != 0:
        raise BenchError(f"The load generator failed: {complaint.strip()}")
    return parse_report(output)
