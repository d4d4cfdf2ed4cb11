"""`sluice up`, `down`, `status` and `logs`."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from sluice.auth import secret_for
from sluice_cli.client import Gateway
from sluice_cli.output import say, show_json, show_table
from sluice_cli.platform import records
from sluice_cli.platform.errors import CommandFailed
from sluice_cli.platform.health import ask
from sluice_cli.platform.home import API_KEY, Home
from sluice_cli.platform.launcher import Launcher, exclusive, interruptible
from sluice_cli.platform.memory import proportional_memory
from sluice_cli.platform.parts import Layout, Part, environment, missing_wheels, parts
from sluice_cli.platform.place import layout_of
from sluice_cli.settings import CliSettings

_MIB = 1024 * 1024


def up() -> None:
    """Start the platform on this machine, or the services that SLUICE_SERVICES names, and wait until it answers."""
    settings = CliSettings()
    home, layout = Home(settings.home), layout_of(settings)
    missing = missing_wheels()
    if missing:
        raise CommandFailed(
            f"These packages are not installed: {', '.join(missing)}. Run `make reinstall`, then `make up` again."
        )
    bridge = _bridge(settings)
    if bridge is not None and not bridge.exists():
        raise CommandFailed(f"SLUICE_BRIDGE is set, and there is no {bridge}. Run `make bridge` to install the bridge.")
    home.prepare()
    began = time.monotonic()
    launcher = Launcher(home, say, settings.start_timeout_s)
    with exclusive(home), interruptible(), launcher.all_or_nothing():
        secrets = home.ensure_secrets() | _chosen(settings)
        bridge_secret = secret_for(secrets["SLUICE_SERVICE_SECRET"], "bridge")
        wanted = parts(layout, home, settings.redis_url, bridge, settings.services, bridge_secret)
        launcher.stop_others(wanted, {"SLUICE_SERVICES": settings.services})
        launcher.start(wanted, environment(layout, home, settings.redis_url, settings.services) | secrets)
        admin = Gateway(layout.url("gateway"), "", secrets["SLUICE_ADMIN_KEY"])
        key = _ensure_key(home, admin, secrets.get(API_KEY))
    _tell(layout, key, time.monotonic() - began)


def down() -> None:
    """Stop what `sluice up` started, and nothing else."""
    settings = CliSettings()
    home = Home(settings.home)
    if not home.root.exists():
        say("Nothing was started here.")
        return
    with exclusive(home):
        stopped = Launcher(home, say, settings.start_timeout_s).stop(records.read(home.run))
    say(f"Stopped {len(stopped)} parts." if stopped else "Nothing was running.")


def status(
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Show each part, its health and its address; the exit status is 1 when a part is not ready."""
    settings = CliSettings()
    home, layout = Home(settings.home), layout_of(settings)
    found = records.read(home.run)
    wanted = parts(layout, home, settings.redis_url, _bridge(settings), settings.services)
    rows = [_row(part, found.get(part.name)) for part in wanted]
    if as_json:
        show_json(rows)
    else:
        columns = ("part", "state", "address", "pid", "memory_mib", "up_s", "detail")
        show_table(columns, [[row[name] for name in columns] for row in rows], folded="detail")
        say(f"memory in all: {sum(_memory(row) for row in rows):.0f} MiB (proportional set size)")
    if any(row["state"] != "ready" for row in rows):
        raise typer.Exit(1)


def logs(
    part: Annotated[str, typer.Argument(help="a part's name, as `sluice status` shows it")],
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="how many lines from the end")] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="go on as lines come")] = False,
) -> None:
    """Print the end of a part's log."""
    path = Home(CliSettings().home).logs / f"{part}.log"
    if not path.exists():
        known = ", ".join(sorted(log.stem for log in path.parent.glob("*.log")))
        raise CommandFailed(f"There is no log of {part!r}. Known: {known or 'none; nothing was started here'}.")
    with path.open(encoding="utf-8", errors="replace") as file:
        print("".join(file.readlines()[-lines:]), end="")
        while follow:
            line = file.readline()
            if line:
                print(line, end="", flush=True)
            else:
                time.sleep(0.3)


def _bridge(settings: CliSettings) -> Path | None:
    return settings.bridge_python if settings.bridge else None


def _chosen(settings: CliSettings) -> dict[str, str]:
    # A key in the environment or .env is the one that all other commands will use, so the platform takes it as well.
    admin = settings.admin_key.get_secret_value()
    return {"SLUICE_ADMIN_KEY": admin} if admin else {}


def _memory(row: dict[str, object]) -> float:
    found = row["memory_mib"]
    return found if isinstance(found, float) else 0.0


def _row(part: Part, record: records.Record | None) -> dict[str, object]:
    process = record.process() if record else None
    row: dict[str, object] = {
        "part": part.name,
        "state": "stopped",
        "address": part.address,
        "pid": None,
        "memory_mib": None,
        "up_s": None,
        "detail": "",
    }
    if record is None:
        return row
    if process is None:
        row["state"] = "dead"
        row["detail"] = f"ended by itself; see `sluice logs {part.name}`, start it again with `sluice up`"
        return row
    answer = ask(part)
    row |= {
        "state": "ready" if answer.ready else "not ready",
        "pid": record.pid,
        "memory_mib": round(proportional_memory(process) / _MIB, 1),
        "up_s": round(time.time() - record.started_at),
        "detail": answer.detail,
    }
    return row


def _ensure_key(home: Home, gateway: Gateway, known: str | None) -> str:
    if known is not None and _accepted(gateway, known):
        return known
    made = str(gateway.admin("POST", "/admin/keys", json={"name": "quickstart"})["key"])
    home.store_secrets({API_KEY: made})
    return made


def _accepted(gateway: Gateway, key: str) -> bool:
    check: Callable[..., object] = Gateway(gateway.url, key, gateway.admin_key).user
    try:
        check("GET", "/v1/models")
    except CommandFailed as exc:
        if "refused with 401" in str(exc):
            return False
        raise
    return True


def _tell(layout: Layout, key: str, seconds: float) -> None:
    url = layout.url("gateway")
    say(f"\nThe platform is up ({seconds:.1f} s).\n\n  base URL  {url}/v1\n  API key   {key}\n\nTry:\n")
    say(
        f"  curl {url}/v1/chat/completions \\\n    -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' \\\n"
        '    -d \'{"model": "auto", "messages": [{"role": "user", "content": "What is the capital of France?"}]}\'\n'
    )
    say("`make status` shows the parts, `make down` stops them.")
