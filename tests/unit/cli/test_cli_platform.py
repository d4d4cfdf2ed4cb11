"""The command line's own pieces: secrets, records, layout, traces."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from pydantic import ValidationError

from sluice_cli.output import show_json, show_table, visible
from sluice_cli.platform import records
from sluice_cli.platform.home import SECRET_NAMES, Home
from sluice_cli.platform.parts import Layout, environment, missing_wheels, parts
from sluice_cli.settings import CliSettings
from sluice_cli.traces import load, tree


def test_secrets_are_made_once_and_only_the_owner_can_read_them(tmp_path: Path) -> None:
    home = Home(tmp_path)
    first = home.ensure_secrets()
    assert set(first) == set(SECRET_NAMES)
    assert all(len(value) >= 32 for value in first.values())
    home.store_secrets({"SLUICE_API_KEY": "sk-x"})
    assert home.ensure_secrets() == first | {"SLUICE_API_KEY": "sk-x"}
    assert stat.S_IMODE(home.secrets_file.stat().st_mode) == 0o600


def test_all_ports_follow_the_base_and_none_is_used_twice(tmp_path: Path) -> None:
    found = parts(Layout(9000), Home(tmp_path), "")
    ports = [part.port for part in found]
    assert len(set(ports)) == len(ports) == 13
    assert found[0].name == "valkey"
    assert {part.name: part.port for part in found}["gateway"] == 9000
    values = environment(Layout(9000), Home(tmp_path), "")
    assert values["SLUICE_ROUTER_URL"] == "http://127.0.0.1:9001"
    assert values["SLUICE_REDIS_URL"] == "redis://127.0.0.1:9011/0"


def test_an_own_redis_replaces_the_embedded_one(tmp_path: Path) -> None:
    assert "valkey" not in {part.name for part in parts(Layout(9000), Home(tmp_path), "redis://elsewhere/0")}
    assert environment(Layout(9000), Home(tmp_path), "redis://elsewhere/0")["SLUICE_REDIS_URL"] == "redis://elsewhere/0"


def test_the_bridge_is_a_part_only_when_it_is_wanted(tmp_path: Path) -> None:
    found = parts(Layout(9000), Home(tmp_path), "", Path("elsewhere/bin/python"))
    bridge = next(part for part in found if part.name == "bridge")
    assert (bridge.port, bridge.command[1:]) == (9008, ("-m", "sluice_bridge", "serve"))
    assert Path(bridge.command[0]).is_absolute()
    assert len({part.port for part in found}) == len(found) == 14
    assert environment(Layout(9000), Home(tmp_path), "")["SLUICE_BRIDGE_URL"] == bridge.address


def test_only_the_services_that_are_named_are_parts_beside_gateway_and_router(tmp_path: Path) -> None:
    def named(services: str) -> list[str]:
        return [part.name for part in parts(Layout(9000), Home(tmp_path), "", services=services)]

    assert named("gateway") == ["valkey", "gateway", "router", "gateway-worker"]
    assert named(" retrieval, guardrail ") == [
        *("valkey", "gateway", "router", "guardrail", "retrieval", "gateway-worker", "retrieval-worker")
    ]
    assert len(named("")) == 13
    assert environment(Layout(9000), Home(tmp_path), "", "gateway")["SLUICE_SERVICES"] == "gateway"
    with pytest.raises(ValidationError, match="names retreival; services are gateway, router"):
        CliSettings(services="retreival")


def test_nothing_is_missing_in_a_full_installation() -> None:
    assert missing_wheels() == []


def test_a_record_finds_its_process_and_only_that_one(tmp_path: Path) -> None:
    record = records.write(tmp_path, "gateway", os.getpid(), 1, "http://x")
    assert record.process() is not None
    assert records.read(tmp_path)["gateway"] == record
    stranger = records.Record("gateway", os.getpid(), record.created - 100, 1, "", 0)
    assert stranger.process() is None
    (tmp_path / "broken.json").write_text("{")
    assert set(records.read(tmp_path)) == {"gateway"}


def test_a_trace_becomes_a_tree_across_services(tmp_path: Path) -> None:
    def batch(service: str, span: dict[str, object]) -> bytes:
        resource = {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]}
        return orjson.dumps({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [span]}]}]}) + b"\n"

    trace = "a" * 32
    root = {"traceId": trace, "spanId": "1", "name": "POST", "startTimeUnixNano": "0", "endTimeUnixNano": "5000000"}
    child = {**root, "spanId": "2", "parentSpanId": "1", "name": "POST /check", "startTimeUnixNano": "10"}
    other = {**root, "traceId": "b" * 32}
    (tmp_path / "gateway.jsonl").write_bytes(batch("gateway", root) + batch("gateway", other))
    (tmp_path / "guardrail.jsonl").write_bytes(batch("guardrail", child))
    assert tree(load(tmp_path, trace)) == ["gateway: POST 5.0 ms", "  guardrail: POST /check 5.0 ms"]


def test_nobody_else_can_look_into_the_platforms_folders(tmp_path: Path) -> None:
    home = Home(tmp_path / "new/home")
    home.prepare()
    assert {stat.S_IMODE(path.stat().st_mode) for path in (home.data, home.logs, home.run, home.traces)} == {0o700}


def test_tables_keep_ids_whole_in_a_narrow_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    row = ("req_" + "a" * 24, "[not markup]", None, 1119.714321, "http://127.0.0.1:8080/v1")
    show_table(("request", "name", "empty", "ms", "address"), [row])
    assert capsys.readouterr().out.splitlines()[1].split() == [row[0], "[not", "markup]", "1119.71", row[4]]


def test_names_and_answers_give_no_orders_to_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    name = "\x1b]0;title\x07\x9b31m a\nb\t\u202ec é日本"
    show_table(("name", "n"), [(name, 1)])
    show_json({"name": name})
    table, shown = capsys.readouterr().out.split("{")
    safe = r"\u001b]0;title\u0007\u009b31m a\nb\t\u202ec é日本"
    assert table.splitlines()[1].rstrip() == f"{safe}  1"
    assert json.loads("{" + shown) == {"name": name}
    assert visible("two\nlines\x1b[2J") == "two\nlines\\u001b[2J"


def test_a_missing_package_and_ctrl_c_while_importing_end_in_a_sentence() -> None:
    start = "from sluice_cli.__main__ import main; main()"
    missing = _python(f"import sys; sys.modules['openai'] = None; {start}")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert missing.stderr == "The package openai is not installed. Run `make reinstall`, then try again.\n"
    finder = "class Stop:\n def find_spec(self, name, *_):\n  if name == 'openai': raise KeyboardInterrupt"
    stopped = _python(f"import sys\n{finder}\nsys.meta_path.insert(0, Stop())\n{start}")
    assert (stopped.returncode, stopped.stderr) == (130, "")


def _python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
