"""What stands in front of engines, as processes: a real Valkey, a router, and gateways."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import yaml

from sluice.testing import (
    ServiceProcess,
    admin_headers,
    environment_of,
    free_port,
    platform_settings,
    valkey_process,
)


class Front(NamedTuple):
    """Where the gateways and the router answer, and an API key."""

    urls: list[str]
    router: str
    key: str


def start_front(
    stack: ExitStack, folder: Path, models: dict[str, Any], *, gateways: int = 1, inference_url: str | None = None
) -> Front:
    """Start all with this models.yaml; they end with the stack."""
    config = folder / "config"
    config.mkdir(exist_ok=True)
    (config / "models.yaml").write_text(yaml.safe_dump(models))
    router_port = free_port()
    router = f"http://127.0.0.1:{router_port}"
    common: dict[str, Any] = {"router_url": router, "config_dir": config, "log_level": "info"}
    common["redis_url"] = stack.enter_context(valkey_process(folder / "valkey")).url
    if inference_url is not None:
        common["inference_url"] = inference_url
    environment = environment_of(platform_settings(folder / "router", **common))
    _start(
        stack, "sluice_router", environment | {"SLUICE_ROUTER_PORT": str(router_port)}, folder / "router.log", router
    )
    urls = []
    for number in range(gateways):
        port = free_port()
        database = f"sqlite+aiosqlite:///{folder / 'gateway.sqlite'}"
        environment = environment_of(platform_settings(folder / f"g{number}", database_url=database, **common))
        urls.append(f"http://127.0.0.1:{port}")
        environment |= {"SLUICE_GATEWAY_PORT": str(port)}
        _start(stack, "sluice_gateway", environment, folder / f"g{number}.log", urls[-1])
    body = {"name": "bench", "tenant": "acme"}
    answer = httpx.post(f"{urls[0]}/admin/keys", json=body, headers=admin_headers(), trust_env=False)
    return Front(urls, router, str(answer.raise_for_status().json()["key"]))


def _start(stack: ExitStack, module: str, environment: dict[str, str], log: Path, url: str) -> None:
    process = ServiceProcess(module, ["serve"], environment, log, cwd=log.parent)
    stack.callback(process.start().stop)
    process.wait_ready(f"{url}/healthz", seconds=60)
