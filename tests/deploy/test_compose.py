"""docker-compose.yml: valid for the real Compose, complete, and closed by default."""

import json
import re
from typing import Any

import pytest
from tests.deploy.parts import (
    PARTS,
    ROOT,
    SECRETS,
    SERVICE_PARTS,
    VARIABLE,
    Part,
    compose,
    config_variables,
    folder_of,
    run_compose,
    setting_variables,
)

from sluice.settings import ALWAYS, SERVICES, services_in

OVERRIDES = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "deploy/compose").glob("*.yml"))
NAMED = re.search(r"^COMPOSE_PROFILES=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE)[1]  # type: ignore[index]
NOT_SETTINGS = {"SLUICE_HEALTH_PORT"}  # read by the image's health check, not by a service
names = [part.name for part in PARTS]


def _service(name: str) -> dict[str, Any]:
    found: dict[str, Any] = compose()["services"][name]
    return found


def test_compose_accepts_it() -> None:
    assert set(compose()["services"]) > {part.name for part in PARTS}


@pytest.mark.parametrize("override", OVERRIDES)
def test_compose_accepts_the_overrides(override: str) -> None:
    assert compose(override)["services"]


@pytest.mark.parametrize("named", ["", "guardrail", "retrieval,gpu", NAMED])
def test_only_the_services_that_are_named_start_beside_gateway_and_router(named: str) -> None:
    given = {**SECRETS, "COMPOSE_PROFILES": named}
    done = run_compose("-f", "docker-compose.yml", "config", "--format", "json", environment=given)
    assert done.returncode == 0, done.stderr
    started = json.loads(done.stdout)["services"]
    on = services_in(started["gateway"]["environment"]["SLUICE_SERVICES"])
    assert on == {*ALWAYS, *named.split(",")} - {"", "gpu"}
    assert {part.name for part in PARTS if part.service in on} == {part.name for part in PARTS} & set(started)
    assert {"postgres", "redis"} <= set(started)
    assert ("qdrant" in started) == ("retrieval" in on)


def test_all_services_are_named_at_first() -> None:
    assert {*ALWAYS, *NAMED.split(",")} == set(SERVICES)
    stack = (ROOT / "deploy/containers/stack.py").read_text()
    assert f'PROFILES = "{NAMED}"' in stack


def test_make_containers_publishes_the_ports_that_it_asks_for() -> None:
    started = compose("deploy/compose/local.yml", "deploy/compose/recorded.yml")["services"].values()
    wanted = set(NAMED.split(","))
    ports = [port for one in started if set(one.get("profiles", [])) <= wanted for port in one.get("ports", [])]
    asked = re.findall(r'"http://127\.0\.0\.1:(\d+)"', (ROOT / "deploy/containers/stack.py").read_text())
    assert sorted(port["published"] for port in ports) == sorted(asked)
    assert {port["host_ip"] for port in ports} == {"127.0.0.1"}


@pytest.mark.parametrize("missing", sorted(SECRETS))
def test_a_missing_secret_is_refused_with_a_sentence(missing: str) -> None:
    given = {name: value for name, value in SECRETS.items() if name != missing}
    done = run_compose("-f", "docker-compose.yml", "config", "-q", environment=given)
    assert done.returncode != 0
    assert f"set {missing} in .env" in done.stderr


@pytest.mark.parametrize("part", PARTS, ids=names)
def test_every_part_has_image_health_check_limit_and_restart(part: Part) -> None:
    found = _service(part.name)
    assert found["image"] == f"sluice/{part.service}:0.1.0"
    assert found["healthcheck"]["test"] == ["CMD", "sluice-health"]
    assert found["restart"] == "unless-stopped"
    assert int(found["deploy"]["resources"]["limits"]["memory"]) <= 2 * 1024**3
    assert found.get("profiles", []) == ([] if part.service in ALWAYS else [part.service])
    if part.is_worker:
        assert found["command"] == ["worker"]
        assert found["environment"]["SLUICE_HEALTH_PORT"] == str(part.port)
    else:
        assert found.get("command") is None


@pytest.mark.parametrize("part", PARTS, ids=names)
def test_no_part_has_rights_it_does_not_need(part: Part) -> None:
    found = _service(part.name)
    assert found["read_only"] is True
    assert found["cap_drop"] == ["ALL"]
    assert found["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in found


@pytest.mark.parametrize("part", PARTS, ids=names)
def test_images_are_built_for_their_service(part: Part) -> None:
    build = _service(part.name)["build"]
    assert (ROOT / build["dockerfile"]).is_file()
    arguments = build.get("args", {})
    if part.service == "inference":
        assert build["dockerfile"].endswith("inference.Dockerfile")
        return
    assert arguments["SERVICE"] == part.service
    assert arguments.get("SERVICE_DIR", part.service) == folder_of(part.service).name
    assert int(arguments["PORT"]) == next(item.port for item in SERVICE_PARTS if item.name == part.service)
    assert (ROOT / "requirements" / f"{part.service}.txt").is_file()


def test_only_the_gateway_is_open_to_other_machines() -> None:
    open_ports = {
        (name, port["target"])
        for name, service in compose()["services"].items()
        for port in service.get("ports", [])
        if port.get("host_ip") != "127.0.0.1"
    }
    assert open_ports == {("gateway", 8080)}


@pytest.mark.parametrize("part", SERVICE_PARTS, ids=[part.name for part in SERVICE_PARTS])
def test_services_are_published_on_their_own_port(part: Part) -> None:
    published = {(int(port["published"]), port["target"]) for port in _service(part.name)["ports"]}
    assert published == {(part.port, part.port)}


def test_every_url_points_to_its_service() -> None:
    environment = _service("gateway")["environment"]
    for part in SERVICE_PARTS:
        assert environment[f"SLUICE_{part.name.upper()}_URL"] == f"http://{part.name}:{part.port}"


def test_every_variable_that_a_part_gets_is_known() -> None:
    known = set(setting_variables()) | config_variables() | NOT_SETTINGS
    given = {name for part in PARTS for name in _service(part.name)["environment"] if name.startswith("SLUICE_")}
    assert given - known == set()


def test_fine_tuning_and_its_worker_share_their_files() -> None:
    volumes = [
        {volume["source"] for volume in _service(name)["volumes"] if volume["type"] == "volume"}
        for name in ("finetune", "finetune-worker")
    ]
    assert volumes[0] == volumes[1] == {"finetune-data"}


def test_images_of_others_are_pinned() -> None:
    for name, service in compose()["services"].items():
        _, _, tag = service["image"].rpartition(":")
        assert tag, name
        assert tag != "latest", name
        assert any(letter.isdigit() for letter in tag), name


def test_secrets_have_no_default() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    for secret in SECRETS:
        assert f"${{{secret}:-" not in text
        assert f"${{{secret}:?" in text
    assert {name for name in VARIABLE.findall(text) if name.endswith(("_KEY", "_SECRET", "_PEPPER"))} <= {
        *SECRETS,
        "SLUICE_RETRIEVAL_QDRANT_API_KEY",
        "SLUICE_BRIDGE_SECRET",
    }


def test_the_gpu_profile_reserves_a_gpu() -> None:
    vllm = _service("vllm")
    assert vllm["profiles"] == ["gpu"]
    devices = vllm["deploy"]["resources"]["reservations"]["devices"]
    assert [device["capabilities"] for device in devices] == [["gpu"]]


def test_what_watches_is_optional() -> None:
    for name in ("prometheus", "grafana", "otel-collector", "jaeger"):
        assert _service(name)["profiles"] == ["observability"]
