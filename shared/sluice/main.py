"""The command line that every service has: serve, worker, migrate, check-config, openapi."""

import argparse
import asyncio
import json
import logging
import multiprocessing
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NoReturn, TypeVar

import uvicorn
from fastapi import FastAPI
from pydantic import ValidationError
from starlette.types import ASGIApp

from sluice.errors import SluiceError
from sluice.open_files import allow_many_files
from sluice.revive import can_revive, serve_revived
from sluice.sentences import faults
from sluice.server import RestingServer
from sluice.service import OpenDeps
from sluice.settings import PlatformSettings, ServiceSettings, without_secrets
from sluice.telemetry import logs

_log = logging.getLogger(__name__)
Settings = TypeVar("Settings", bound=ServiceSettings)

_CANCEL_S = 2  # after what is still being answered was told to end


@dataclass(frozen=True, slots=True)
class Entry(Generic[Settings]):
    """What `run` needs to know of a service.

    Attributes:
        name: the service's name, also its database's.
        settings: its settings class; it has a field `port`.
        create_app: makes the FastAPI application from the function that opens its dependencies.
        open_deps: opens the dependencies with the settings.
        migrations: folder that holds `versions/`, or None if the service has no database.
        worker: runs the worker process and blocks, or None if the service has none.
        check: reads the configuration and raises if it is wrong; runs for `check-config` after the settings.
        wrap: puts another ASGI application in front of the FastAPI one (the gateway's data plane).
        server_options: further options of `uvicorn.Config`.
        platform: the class of the settings that all services share.
        revived: whether a killed serving process is followed by another at once, where the system can do it.
    """

    name: str
    settings: type[Settings]
    create_app: Callable[[OpenDeps], FastAPI]
    open_deps: Callable[[PlatformSettings, Settings], Any]
    migrations: Path | None = None
    worker: Callable[[PlatformSettings, Settings], None] | None = None
    check: Callable[[PlatformSettings, Settings], None] | None = None
    wrap: Callable[[FastAPI, PlatformSettings, Settings], ASGIApp] | None = None
    server_options: tuple[tuple[str, Any], ...] = ()
    platform: type[PlatformSettings] = PlatformSettings
    revived: bool = False


def run(entry: Entry[Settings], arguments: list[str] | None = None) -> None:
    """Run a service's command line; a wrong setting ends it with a sentence and status 2."""
    parser = argparse.ArgumentParser(
        prog=f"python -m sluice_{entry.name}", description=f"The {entry.name} service of Sluice."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="serve the REST API")
    commands.add_parser("check-config", help="check settings and configuration files, then exit")
    commands.add_parser("openapi", help="print the OpenAPI document")
    if entry.migrations:
        commands.add_parser("migrate", help="bring the database schema up to date")
    if entry.worker:
        commands.add_parser("worker", help="run the worker process")
    command = parser.parse_args(arguments).command
    if command == "openapi":
        print(json.dumps(_openapi(entry), indent=2, sort_keys=True))  # noqa: T201 - the command's output
        return
    try:
        unset: tuple[str, ...] = ()
        if command == "check-config":
            platform, settings, unset = _without_secrets(entry)
        else:
            platform, settings = entry.platform(), entry.settings()
        logs.configure(entry.name if command != "worker" else f"{entry.name}-worker", platform.log_level)
        _commands(entry, platform, settings, unset)[command]()
    except ValidationError as exc:
        told = faults([{**item, "loc": _variable(entry, item["loc"])} for item in exc.errors()])
        _fail(f"The settings of {entry.name} are not right: {' '.join(fault.sentence for fault in told)}")
    except SluiceError as exc:
        _fail(exc.detail)


def _without_secrets(entry: Entry[Settings]) -> tuple[PlatformSettings, Settings, tuple[str, ...]]:
    platform, shared = without_secrets(entry.platform, env="dev")
    settings, own = without_secrets(entry.settings)
    return platform, settings, (*shared, *own) if platform.env == "production" else ()


def _commands(
    entry: Entry[Settings], platform: PlatformSettings, settings: Settings, unset: tuple[str, ...]
) -> dict[str, Callable[[], None]]:
    return {
        "serve": lambda: _serve(entry, platform, settings),
        "worker": lambda: _work(entry, platform, settings),
        "migrate": lambda: _migrate(entry, platform),
        "check-config": lambda: _check(entry, platform, settings, unset),
    }


def _serve(entry: Entry[Settings], platform: PlatformSettings, settings: Settings) -> None:
    allow_many_files()
    if entry.check:
        entry.check(platform, settings)
    if entry.migrations and platform.auto_migrate:
        _bring_schema(entry, platform, entry.migrations)
    app = entry.create_app(lambda: entry.open_deps(platform, settings))
    served: ASGIApp = entry.wrap(app, platform, settings) if entry.wrap else app
    options: dict[str, Any] = {
        "host": platform.host,
        "port": settings.port,
        "loop": "uvloop",
        "http": "httptools",
        "log_config": None,
        "access_log": False,
        "lifespan": "on",
        "server_header": False,
        "timeout_keep_alive": 75,
        "timeout_graceful_shutdown": int(platform.finish_s) + _CANCEL_S,
    }
    config = uvicorn.Config(served, **options | dict(entry.server_options))

    def serve(listener: socket.socket | None) -> None:
        RestingServer(config, drain_s=platform.drain_s, finish_s=platform.finish_s, leaving=app.state.frame.leave).run(
            None if listener is None else [listener]
        )

    if entry.revived and can_revive():
        serve_revived(serve, config.bind_socket())
    serve(None)


def _work(entry: Entry[Settings], platform: PlatformSettings, settings: Settings) -> None:
    assert entry.worker is not None
    allow_many_files()
    if entry.migrations:
        from sluice.schema import wait_for_schema  # noqa: PLC0415 - SQLAlchemy is for services that have a database

        asyncio.run(wait_for_schema(platform, entry.name, entry.migrations))
    entry.worker(platform, settings)


def _bring_schema(entry: Entry[Settings], platform: PlatformSettings, migrations: Path) -> None:
    from sluice.schema import is_current  # noqa: PLC0415 - SQLAlchemy is for services that have a database

    if asyncio.run(is_current(platform, entry.name, migrations)):
        return
    # In a process of its own, so that what Alembic takes goes with it.
    child = multiprocessing.get_context("fork").Process(target=_migrate_or_fail, args=(entry, platform))
    child.start()
    child.join()
    if child.exitcode:
        sys.exit(child.exitcode)


def _migrate_or_fail(entry: Entry[Settings], platform: PlatformSettings) -> None:
    try:
        _migrate(entry, platform)
    except SluiceError as exc:
        _fail(exc.detail)


def _migrate(entry: Entry[Settings], platform: PlatformSettings) -> None:
    from sluice.migrations import upgrade  # noqa: PLC0415 - Alembic is loaded by those that migrate only

    assert entry.migrations is not None
    asyncio.run(upgrade(platform, entry.name, entry.migrations))
    _log.info("database schema of %s is up to date", entry.name)


def _check(entry: Entry[Settings], platform: PlatformSettings, settings: Settings, unset: tuple[str, ...]) -> None:
    if entry.check:
        entry.check(platform, settings)
    rest = f" Not set here, and needed to start: {', '.join(unset)}." if unset else ""
    print(f"The configuration of {entry.name} is right.{rest}")  # noqa: T201 - the command's output


def _openapi(entry: Entry[Settings]) -> dict[str, Any]:
    def closed() -> NoReturn:
        raise RuntimeError("the OpenAPI document is made without opening anything")

    return entry.create_app(closed).openapi()


def _variable(entry: Entry[Settings], loc: tuple[str | int, ...]) -> tuple[str, ...]:
    if not loc:
        return ()
    name = str(loc[0])
    prefix = (
        str(entry.settings.model_config.get("env_prefix", "")) if name in entry.settings.model_fields else "SLUICE_"
    )
    return (f"{prefix}{name.upper()}",)


def _fail(sentence: str) -> None:
    print(sentence, file=sys.stderr)  # noqa: T201 - the last word of a command that ends
    sys.exit(2)
