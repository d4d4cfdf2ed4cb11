"""A gateway behind the real guardrail service, with policies of its own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gateway_parts import Parts, Served, serving

from sluice.clients.guardrail import GuardrailClient
from sluice.contracts.routing import RoutingSnapshot
from sluice.testing import asgi_client, platform_settings, service_client
from sluice_gateway.dataplane.deps import Options
from sluice_guardrail.app import create_app
from sluice_guardrail.settings import Settings
from sluice_guardrail.wiring import open_deps


@asynccontextmanager
async def guarded_gateway(folder: Path, policies: str, routing: RoutingSnapshot, **parts: Any) -> AsyncIterator[Served]:
    """Serve it; `policies` is the content of guard.yaml, `parts` stand in place of other services."""
    patient = Options(stage_timeout_s=60.0)  # the guardrail works in the same loop, and the machine may be busy
    (folder / "guard.yaml").write_text(policies)
    platform = platform_settings(folder, config_dir=folder)
    app = create_app(lambda: open_deps(platform, Settings(_env_file=None)))
    async with (
        asgi_client(app),
        service_client("guardrail", app, platform) as called,
        serving(Parts(**{"options": patient, **parts, "guard": GuardrailClient(called)}), routing) as gateway,  # type: ignore[arg-type] # the real client in place of the simulated one
    ):
        yield gateway
