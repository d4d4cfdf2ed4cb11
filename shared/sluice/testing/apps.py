"""Applications under test without a socket."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from redis.asyncio import Redis
from starlette.types import ASGIApp

from sluice.auth import Role, ServiceTokens
from sluice.clients.http import HttpAnswer, ServiceClient
from sluice.redis import open_redis
from sluice.settings import PlatformSettings
from sluice.telemetry.tracing import Tracing

ADMIN_KEY = "admin-key-for-tests-0123456789"
_TEST_RUN_S = 24 * 3600  # headers made when tests are collected are used until the run ends
_SECRET = "service-secret-for-tests-0123456789"  # noqa: S105


def platform_settings(tmp_path: Path, **overrides: Any) -> PlatformSettings:
    """Return settings for one test: secrets that tests know, data below `tmp_path`, no traces."""
    values: dict[str, Any] = {
        "env": "dev",
        "data_dir": tmp_path / "data",
        "admin_key": ADMIN_KEY,
        "service_secret": _SECRET,
        "log_level": "warning",
        **overrides,
    }
    return PlatformSettings(_env_file=None, **values)


def redis_at(url: str) -> Redis:
    """Return a client that is opened as the services open theirs."""
    return open_redis(PlatformSettings(_env_file=None, env="dev", redis_url=url))


def environment_of(settings: PlatformSettings) -> dict[str, str]:
    """Return the SLUICE_ variables with which a child process gets these settings."""
    out = {}
    for name, value in settings.model_dump().items():
        plain = value.get_secret_value() if hasattr(value, "get_secret_value") else value
        out[f"SLUICE_{name.upper()}"] = str(plain)
    return out


def admin_headers(tenant: str = "default") -> dict[str, str]:
    """Return the administrator's credential."""
    return {"authorization": f"Bearer {ADMIN_KEY}", "x-sluice-tenant": tenant}


def service_headers(
    audience: str,
    tenant: str = "default",
    *,
    subject: str = "test",
    role: Role = "service",
    key_id: str | None = None,
) -> dict[str, str]:
    """Return a service token for `audience` on behalf of a tenant, and of an API key if one is named."""
    token = ServiceTokens(_SECRET, "test", lifetime_s=_TEST_RUN_S).mint(
        audience, tenant=tenant, subject=subject, role=role, key_id=key_id
    )
    return {"authorization": f"Bearer {token}"}


@asynccontextmanager
async def asgi_client(app: FastAPI, served: ASGIApp | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """Start the application's lifespan and yield a client that calls it in process.

    `served` is what receives the requests when something stands in front of `app` (the gateway's data plane).
    """
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=served or app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            yield client


class AsgiTransport:
    """Lets a `ServiceClient` call an application in process: the real client against the real provider."""

    def __init__(self, app: ASGIApp) -> None:
        self._client = httpx.AsyncClient(transport=httpx.ASGITransport(app=app, raise_app_exceptions=False))

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, timeout_s: float
    ) -> HttpAnswer:
        """Send and read the whole answer."""
        response = await self._client.request(method, url, headers=dict(headers), content=body, timeout=timeout_s)
        return HttpAnswer(response.status_code, dict(response.headers), response.content)

    async def close(self) -> None:
        """Close the client."""
        await self._client.aclose()


@asynccontextmanager
async def service_client(service: str, app: ASGIApp, platform: PlatformSettings) -> AsyncIterator[ServiceClient]:
    """Yield the client with which the gateway asks a service, bound to an application that runs in process."""
    transport = AsgiTransport(app)
    tokens = ServiceTokens(platform.service_secret.get_secret_value(), "gateway")
    try:
        yield ServiceClient(service, "http://test", tokens, transport, Tracing("gateway", platform))
    finally:
        await transport.close()
