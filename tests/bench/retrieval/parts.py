"""The retrieval service and its worker as real processes on a real Valkey, with a client: for tests and benchmarks."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import redis

from sluice.contracts.routing import SNAPSHOT_KEY, Deployment, Model, ModelKind, Policy, Route, RoutingSnapshot
from sluice.settings import PlatformSettings
from sluice.testing import (
    ServiceProcess,
    Valkey,
    admin_headers,
    environment_of,
    free_port,
    platform_settings,
    valkey_process,
    wait_until,
)

# what a killed worker had taken and not begun waits for being sent again
FAST = {"SLUICE_RETRIEVAL_LEASE_S": "4", "SLUICE_RETRIEVAL_SWEEP_S": "0.5", "SLUICE_RETRIEVAL_RESEND_S": "15"}
# tests run beside each other on few processors: what they wait for stands behind nobody
FAST["SLUICE_RETRIEVAL_WORKER_NICENESS"] = "0"
FAST["SLUICE_RETRIEVAL_HUGE_PAGES"] = "false"  # half a second at each start, which pays off after hundreds of searches


class Gateway(NamedTuple):
    """A gateway's base URL and an API key."""

    url: str
    key: str


@dataclass
class Retrieval:
    """Both processes, and a client of the API."""

    folder: Path
    valkey: Valkey
    platform: PlatformSettings
    port: int
    worker_port: int
    settings: dict[str, str]
    client: httpx.Client
    processes: list[ServiceProcess] = field(default_factory=list)

    def process(self, command: str) -> ServiceProcess:
        environment = {**environment_of(self.platform), **self.settings}
        made = ServiceProcess("sluice_retrieval", [command], environment, self.folder / f"{command}.log")
        self.processes.append(made)
        return made

    def serve(self) -> ServiceProcess:
        service = self.process("serve").start()
        service.wait_ready(f"http://127.0.0.1:{self.port}/readyz")
        return service

    def work(self) -> ServiceProcess:
        worker = self.process("worker").start()
        worker.wait_ready(f"http://127.0.0.1:{self.worker_port}/readyz")
        return worker

    def store(self, **fields: Any) -> str:
        answer = self.client.post("/v1/vector_stores", json={"name": "handbook", **fields})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def add(self, store: str, name: str, text: str, **fields: Any) -> str:
        answer = self.client.post(
            f"/v1/vector_stores/{store}/documents", json={"name": name, "text": text, **fields}, timeout=60
        )
        assert answer.status_code == 202, answer.text
        assert answer.json()["status"] == "queued"
        return str(answer.json()["id"])

    def document(self, store: str, document: str) -> dict[str, Any]:
        found: dict[str, Any] = self.client.get(f"/v1/vector_stores/{store}/documents/{document}").json()
        return found

    def documents(self, store: str, **query: Any) -> list[dict[str, Any]]:
        answer = self.client.get(f"/v1/vector_stores/{store}/documents", params={"limit": 100, **query})
        found: list[dict[str, Any]] = answer.json()["data"]
        return found

    def wait_for(self, store: str, document: str, status: str = "ready", seconds: float = 90) -> dict[str, Any]:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = self.document(store, document)
            if found.get("status") == status:
                return found
            time.sleep(0.05)
        logs = {path.name: path.read_text()[-3000:] for path in self.folder.glob("*.log")}
        raise AssertionError(f"{document} is {found}, not {status}; {logs}")

    def search(self, store: str, query: str, **fields: Any) -> list[dict[str, Any]]:
        answer = self.client.post(f"/v1/vector_stores/{store}/search", json={"query": query, **fields})
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["data"]
        return found

    def gateway(
        self,
        provider_url: str,
        model: str,
        policies: Sequence[Policy] = (),
        routes: Sequence[Route] = (),
        kind: ModelKind = "chat",
    ) -> Gateway:
        """Start a gateway that knows one model, and return it with an API key of the same tenant."""
        port = int(self.platform.service_url("gateway").rpartition(":")[2])
        place = Deployment(id="one", base_url=provider_url, upstream_model=model, max_in_flight=100)
        snapshot = RoutingSnapshot(
            version=1,
            published_at=time.time(),
            models=(Model(name=model, kind=kind, deployments=(place,)),),
            policies=tuple(policies),
            routes=tuple(routes),
        )
        with redis.Redis.from_url(self.valkey.url) as direct:
            direct.set(SNAPSHOT_KEY, snapshot.model_dump_json())
        environment = {**environment_of(self.platform), "SLUICE_GATEWAY_PORT": str(port)}
        process = ServiceProcess("sluice_gateway", ["serve"], environment, self.folder / "gateway.log", cwd=self.folder)
        self.processes.append(process)
        url = f"http://127.0.0.1:{port}"
        process.start().wait_ready(f"{url}/healthz")
        body = {"name": "retrieval", "tenant": "default"}
        answer = httpx.post(f"{url}/admin/keys", json=body, headers=admin_headers(), trust_env=False, timeout=60)
        key = str(answer.raise_for_status().json()["key"])

        def knows_its_model() -> bool:
            headers = {"authorization": f"Bearer {key}"}
            return bool(httpx.get(f"{url}/v1/models", headers=headers, trust_env=False, timeout=60).json().get("data"))

        wait_until(knows_its_model, what="the gateway knowing its model")
        return Gateway(url, key)


@contextmanager
def running(folder: Path, **settings: str) -> Iterator[Retrieval]:
    """Start Valkey; the two processes are started by the caller, and all are ended with the block."""
    port, worker_port = free_port(), free_port()
    with valkey_process(folder / "valkey") as valkey:
        platform = platform_settings(
            folder,
            redis_url=valkey.url,
            retrieval_url=f"http://127.0.0.1:{port}",
            gateway_url=f"http://127.0.0.1:{free_port()}",
            router_url="http://127.0.0.1:9",
            log_level="info",
        )
        environment = {
            "SLUICE_RETRIEVAL_PORT": str(port),
            "SLUICE_RETRIEVAL_WORKER_PORT": str(worker_port),
            **FAST,
            **{f"SLUICE_RETRIEVAL_{name.upper()}": value for name, value in settings.items()},
        }
        url = f"http://127.0.0.1:{port}"
        with httpx.Client(base_url=url, headers=admin_headers(), timeout=60, trust_env=False) as client:
            made = Retrieval(folder, valkey, platform, port, worker_port, environment, client)
            try:
                yield made
            finally:
                for process in made.processes:
                    process.stop()
