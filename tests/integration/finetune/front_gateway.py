"""A gateway process before the finetune-worker: it keeps the files, and passes fine-tuning on."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from sluice.settings import PlatformSettings
from sluice.testing import ServiceProcess, admin_headers, environment_of, wait_until


@dataclass(frozen=True)
class Front:
    """Where the gateway answers, and its process."""

    url: str
    process: ServiceProcess

    def key(self, tenant: str) -> str:
        """Make an API key of a tenant."""
        made = httpx.post(
            f"{self.url}/admin/keys", json={"name": "ft", "tenant": tenant}, headers=admin_headers(), timeout=60
        )
        assert made.status_code == 201, made.text
        key: str = made.json()["key"]
        return key

    def upload(self, key: str, content: bytes, purpose: str = "fine-tune") -> str:
        """Upload a file and return its id."""
        headers = {"authorization": f"Bearer {key}"}
        files = {"file": ("t.jsonl", content)}
        made = httpx.post(f"{self.url}/v1/files", headers=headers, data={"purpose": purpose}, files=files, timeout=60)
        assert made.status_code == 200, made.text
        file_id: str = made.json()["id"]
        return file_id


@contextmanager
def front_gateway(platform: PlatformSettings, log: Path) -> Iterator[Front]:
    """Run a gateway at the platform's gateway URL; it needs no router for files and for what it passes on."""
    url = platform.gateway_url
    environment = environment_of(platform) | {"SLUICE_GATEWAY_PORT": url.rpartition(":")[2]}
    with ServiceProcess("sluice_gateway", ["serve"], environment, log) as process:
        # Without a router it is never ready for requests to models; files need the database only.
        wait_until(lambda: httpx.get(f"{url}/healthz", timeout=60).status_code == httpx.codes.OK, what="the gateway")
        yield Front(url, process)
