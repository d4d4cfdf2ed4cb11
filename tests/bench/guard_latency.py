"""Measures what a check costs its caller: the guardrail as a process on one CPU, asked over HTTP on a kept connection.

    python tests/bench/guard_latency.py [--requests 400] [--cpu 0]

The bars: default policy, a prompt of 150 words (about 200 tokens) p50 at most 8 ms and p95 at most 20 ms; a document of 1,500 words (about
2,000 tokens) at most 80 ms. Printed besides: the same with every scanner, with masking, and with phrases alone. The texts are prose of
this repository, each request another place in it, with an e-mail address and a telephone number.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import httpx
import yaml

from sluice.testing import environment_of, free_port, platform_settings, service_headers
from sluice.testing.processes import ServiceProcess

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "deploy" / "config" / "guard.yaml"
BARS_MS = {150: (8.0, 20.0), 1500: (80.0, 80.0)}
EVERY = {
    "invisible_text": {}, "urls": {"deny": ["evil.example"]}, "language": {"deny": ["xx"]},
    "topics": {"deny": {"medicine": ["dosage", "side effects"]}}, "code": {}, "length": {"max_words": 100_000},
}  # fmt: skip
POLICIES = {
    "scanners": {"input": {"scanners": EVERY}},
    "mask": {"input": {"pii": {"action": "mask"}}},
    "phrases": {"input": {"injection": {"classifier": False}}},
}


def words() -> list[str]:
    pages = [ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs" / "reference").glob("*.md"))]
    return [
        word for page in pages for word in page.read_text(encoding="utf-8").split() if word.isascii() and word.isalpha()
    ]


def text_of(prose: list[str], size: int, number: int) -> str:
    start = number * 37 % (len(prose) - size)
    return " ".join((*prose[start : start + size], "write to ada@example.org or call +1 610-544-6835."))


def measured(client: httpx.Client, prose: list[str], policy: str, size: int, requests: int) -> list[float]:
    """Return the sorted times of all requests in milliseconds."""
    times = []
    for number in range(requests + 20):
        body = {"stage": "input", "text": text_of(prose, size, number), "policy": policy}
        started = time.perf_counter()
        answer = client.post("/check", json=body)
        times.append((time.perf_counter() - started) * 1000)
        assert answer.status_code == 200, answer.text
    return sorted(times[20:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=400)
    parser.add_argument("--cpu", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        content = yaml.safe_load(SHIPPED.read_text())
        content["policies"] |= POLICIES
        (home / "guard.yaml").write_text(yaml.safe_dump(content))
        port = free_port()
        environment = environment_of(platform_settings(home, config_dir=home)) | {"SLUICE_GUARDRAIL_PORT": str(port)}
        process = ServiceProcess("sluice_guardrail", ["serve"], environment, home / "log", cwd=home)
        with process, httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=service_headers("guardrail")) as client:
            process.wait_ready(f"http://127.0.0.1:{port}/readyz")
            os.sched_setaffinity(process.pid, {options.cpu})
            report(client, options.requests)


def report(client: httpx.Client, requests: int) -> None:
    prose = words()
    print("policy     words   p50 ms   p95 ms   max ms   bars")
    for policy in ("default", *POLICIES):
        for size, (p50_bar, p95_bar) in BARS_MS.items():
            times = measured(client, prose, policy, size, requests)
            p50, p95 = statistics.median(times), times[int(len(times) * 0.95)]
            held = "held" if p50 <= p50_bar and p95 <= p95_bar else "missed"
            print(
                f"{policy:10} {size:5} {p50:8.2f} {p95:8.2f} {times[-1]:8.2f}   {held if policy == 'default' else ''}"
            )


if __name__ == "__main__":
    main()
