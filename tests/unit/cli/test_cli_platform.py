"""The command line's own pieces: secrets, records, layout, traces."""

import os
import stat
from pathlib import Path

import orjson

from sluice_cli.platform import records
from sluice_cli.platform.home import SECRET_NAMES, Home
from sluice_cli.platform.parts import Layout, environment, missing_wheels, parts
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
