"""`sluice engines` and `sluice adapters`: what the inference service of one host runs."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from sluice_cli.client import Gateway, path_of
from sluice_cli.moments import shown
from sluice_cli.output import say, show_json, show_table
from sluice_cli.platform.errors import CommandFailed

engines_app = typer.Typer(help="The engines of a host: state, load, start, stop, logs.", no_args_is_help=True)
adapters_app = typer.Typer(help="LoRA adapters of a host's engines.", no_args_is_help=True)
Url = Annotated[str, typer.Option(help="the inference service; else that of the platform of this machine")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON")]
EngineId = Annotated[str, typer.Argument(help="the engine's id, as `sluice engines list` shows it")]
Wait = Annotated[float, typer.Option("--wait", min=0, help="seconds to wait until it is done; 0 does not wait")]
_MIB = 2**20
_POLL_S = 0.3
_LISTED = (
    "engine",
    "backend",
    "model",
    "state",
    "busy",
    "waiting",
    "tokens/s",
    "MiB",
    "restarts",
    "adapters",
    "reason",
)
_ADAPTERS = ("adapter", "model", "engines", "loaded", "last used", "path")


def _service(url: str) -> Gateway:
    return Gateway.of_service("inference", url)


@engines_app.command("list")
def engines_list(url: Url = "", as_json: AsJson = False) -> None:
    """List the engines with state, load and speed."""
    found = _service(url).admin("GET", "/v1/engines")
    if as_json:
        show_json(found)
        return
    show_table(_LISTED, [_row(one) for one in found["data"]])


def _row(one: dict[str, Any]) -> tuple[object, ...]:
    busy = None if one["slots_busy"] is None else f"{one['slots_busy']} of {one['slots'] or '?'}"
    speed = one["tokens_per_second"]
    return (
        *(one["id"], one["backend"], one["model"], one["state"], busy, one["requests_waiting"]),
        None if speed is None else f"{speed:.1f}",
        None if one["memory_bytes"] is None else f"{one['memory_bytes'] / _MIB:.0f}",
        one["restarts"],
        None if one["adapters"] is None else ", ".join(one["adapters"]) or "none",
        one["reason"],
    )


@engines_app.command("show")
def engines_show(engine: EngineId, url: Url = "") -> None:
    """Show all that is known of one engine as JSON."""
    show_json(_service(url).admin("GET", path_of("/v1/engines", engine)))


@engines_app.command("start")
def engines_start(engine: EngineId, wait_s: Wait = 0.0, url: Url = "") -> None:
    """Start an engine that was stopped, or try a failed one again now."""
    _change(_service(url), engine, "start", "ready", wait_s)


@engines_app.command("stop")
def engines_stop(engine: EngineId, wait_s: Wait = 0.0, url: Url = "") -> None:
    """Drain an engine and stop it: no request is cut off within SLUICE_INFERENCE_DRAIN_S; it stays stopped until it is started."""
    _change(_service(url), engine, "stop", "stopped", wait_s)


@engines_app.command("restart")
def engines_restart(engine: EngineId, wait_s: Wait = 0.0, url: Url = "") -> None:
    """Drain an engine, stop it and start it again; earlier failures are forgotten."""
    _change(_service(url), engine, "restart", "ready", wait_s)


def _change(service: Gateway, engine: str, verb: str, wanted: str, wait_s: float) -> None:
    path = path_of("/v1/engines", engine)
    before = service.admin("GET", path)
    found = service.admin("POST", f"{path}/{verb}")
    if not wait_s:
        say(f"{engine}: asked to {verb}; it was {before['state']}. --wait 60 waits for it.")
        return
    deadline = time.monotonic() + wait_s
    told = ""
    while True:
        if found["state"] != told:
            told = found["state"]
            say(f"{engine}: {told}" + (f" ({found['reason']})" if found["reason"] else ""))
        renewed = verb != "restart" or found["pid"] != before["pid"]
        if found["state"] == wanted and renewed:
            return
        if time.monotonic() >= deadline:
            break
        time.sleep(_POLL_S)
        found = service.admin("GET", path)
    raise CommandFailed(f"{engine} is {told} after {wait_s:g} s, not {wanted}. Look at `sluice engines logs {engine}`.")


@engines_app.command("logs")
def engines_logs(
    engine: EngineId,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, max=1000, help="how many lines from the end")] = 50,
    url: Url = "",
) -> None:
    """Print the end of an engine's log: warnings and errors, no prompts."""
    path = path_of("/v1/engines", engine, "logs")
    for line in _service(url).admin("GET", path, params={"lines": lines})["lines"]:
        say(line)


@adapters_app.command("list")
def adapters_list(url: Url = "", as_json: AsJson = False) -> None:
    """List the adapters, the engines that hold them, and when they were last used."""
    found = _service(url).admin("GET", "/v1/adapters")
    if as_json:
        show_json(found)
        return
    show_table(
        _ADAPTERS,
        [
            (
                *(one["name"], one["model"], ", ".join(one["engines"])),
                *(shown(one["loaded_at"]), shown(one["last_used_at"]), one["path"]),
            )
            for one in found["data"]
        ],
    )


@adapters_app.command("load")
def adapters_load(
    name: Annotated[str, typer.Argument(help="what callers name it, as a model of its own")],
    path: Annotated[
        str, typer.Argument(help="folder in PEFT's layout (vLLM) or GGUF file (llama.cpp), where the engines run")
    ],
    model: Annotated[str, typer.Option(help="the model that it belongs to")],
    url: Url = "",
) -> None:
    """Load an adapter on every engine that serves its model; within two seconds callers can name it."""
    # A path of this machine is told whole, since the service has another working folder.
    whole = str(Path(path).resolve()) if Path(path).exists() else path
    body = {"name": name, "model": model, "path": whole}
    found = _service(url).admin("POST", "/v1/adapters", json=body)
    say(f"{name} is loaded on {', '.join(found['engines'])}.")
    if found["evicted"]:
        say(f"{', '.join(found['evicted'])} had to make room.")


@adapters_app.command("unload")
def adapters_unload(
    name: Annotated[str, typer.Argument(help="the adapter's name")],
    url: Url = "",
) -> None:
    """Unload an adapter from every engine; requests that run with it end first."""
    _service(url).admin("DELETE", path_of("/v1/adapters", name, slashes=True))
    say(f"{name} is unloaded.")
