"""vLLM's router (Rust) in front of one engine: round robin, no key, otherwise its defaults."""

from contextlib import contextmanager

from tests.bench.children import Child
from tests.bench.environments import VLLM_ROUTER
from tests.bench.loadgen import Target
from tests.bench.rows.base import READY_SECONDS, Gateway, Opened, Place, answers

from sluice.testing import free_port


def missing(_place: Place) -> str | None:
    return VLLM_ROUTER.missing()


@contextmanager
def open_vllm_router(place: Place) -> Opened:
    port = free_port()
    command = [str(VLLM_ROUTER.path), "--host", "127.0.0.1", "--port", str(port), "--policy", "round_robin"]
    command += ["--worker-urls", f"http://127.0.0.1:{place.upstream.port}", "--log-level", "warning"]
    command += ["--prometheus-port", str(free_port())]
    log = place.logs / "vllm-router.log"
    with Child("vllm-router", command, core=place.gateway_core, log=log, folder=place.folder) as process:
        process.wait_until(answers(f"http://127.0.0.1:{port}/readiness"), READY_SECONDS)
        yield Gateway(Target(port), process)
