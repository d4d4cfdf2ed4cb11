"""What tests of all services use: real servers as child processes, and clients that need no socket."""

from sluice.testing.apps import (
    ADMIN_KEY,
    AsgiTransport,
    admin_headers,
    asgi_client,
    environment_of,
    platform_settings,
    redis_at,
    service_client,
    service_headers,
)
from sluice.testing.clock import FakeClock
from sluice.testing.processes import ServiceProcess, free_port, free_port_base, wait_until
from sluice.testing.servers import Valkey, postgres_server, valkey_process, valkey_server

__all__ = [
    "ADMIN_KEY",
    "AsgiTransport",
    "FakeClock",
    "ServiceProcess",
    "Valkey",
    "admin_headers",
    "asgi_client",
    "environment_of",
    "free_port",
    "free_port_base",
    "platform_settings",
    "postgres_server",
    "redis_at",
    "service_client",
    "service_headers",
    "valkey_process",
    "valkey_server",
    "wait_until",
]
