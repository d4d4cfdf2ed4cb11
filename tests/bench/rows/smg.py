"""SGLang's model gateway (Rust) in front of one engine: one key, round robin, otherwise its defaults."""

from contextlib import contextmanager

from tests.bench.children import Child
from tests.bench.environments import SMG
from tests.bench.loadgen import Target
from tests.bench.rows.base import READY_SECONDS, Gateway, Opened, Place, answers

from sluice.testing import free_port

KEY = "sk-bench"


def missing(_place: Place) -> str | None:
    return SMG.missing()


@contextmanager
def open_smg(place: Place) -> Opened:
    port = free_port()
    command = [str(SMG.path), "launch", "--host", "127.0.0.1", "--port", str(port), "--policy", "round_robin"]
    command += ["--worker-urls", f"http://127.0.0.1:{place.upstream.port}", "--api-key", KEY, "--log-level", "warn"]
    command += ["--prometheus-host", "127.0.0.1", "--prometheus-port", str(free_port())]
    log = place.logs / "smg.log"
    with Child("smg", command, core=place.gateway_core, log=log, folder=place.folder) as process:
        process.wait_until(answers(f"http://127.0.0.1:{port}/readiness"), READY_SECONDS)
        yield Gateway(Target(port, headers=(f"Authorization: Bearer {KEY}",)), process)
