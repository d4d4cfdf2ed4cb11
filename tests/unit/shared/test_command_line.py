"""What `python -m sluice_<service>` says when its settings are wrong."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SECRETS = {"SLUICE_ADMIN_KEY": "k" * 24, "SLUICE_SERVICE_SECRET": "s" * 24, "SLUICE_GATEWAY_KEY_PEPPER": "p" * 24}


def run(module: str, command: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SLUICE_")}
    return subprocess.run(
        [sys.executable, "-m", module, command], env=clean | environment, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"SLUICE_GUARDRAIL_RELOAD_S": "-1"}, "`SLUICE_GUARDRAIL_RELOAD_S` must be above 0."),
        ({"SLUICE_TRACE_RATIO": "often"}, "`SLUICE_TRACE_RATIO` must be a number."),
        ({"SLUICE_ENV": "production", "SLUICE_ADMIN_KEY": "short"}, "SLUICE_ADMIN_KEY is missing or shorter than 16"),
    ],
)
def test_a_wrong_setting_ends_the_start_with_its_name_and_what_to_change(
    environment: dict[str, str], sentence: str
) -> None:
    done = run("sluice_guardrail", "check-config", {"SLUICE_ENV": "dev"} | environment)
    assert done.returncode == 2
    assert done.stderr.startswith(f"The settings of guardrail are not right: {sentence}")
    assert "Traceback" not in done.stderr


def test_a_configuration_is_checked_where_nobody_has_the_secrets() -> None:
    done = run("sluice_gateway", "check-config", {})
    missing = "SLUICE_ADMIN_KEY, SLUICE_SERVICE_SECRET, SLUICE_GATEWAY_KEY_PEPPER"
    right = "The configuration of gateway is right."
    assert (done.returncode, done.stdout) == (0, f"{right} Not set here, and needed to start: {missing}.\n")
    assert run("sluice_gateway", "check-config", SECRETS).stdout == f"{right}\n"
    assert run("sluice_gateway", "check-config", {"SLUICE_ENV": "dev"}).stdout == f"{right}\n"
    short = run("sluice_gateway", "check-config", {"SLUICE_GATEWAY_KEY_PEPPER": "short"})
    assert short.returncode == 2
    assert "SLUICE_GATEWAY_KEY_PEPPER is missing or shorter" in short.stderr


@pytest.mark.parametrize("module", ["sluice_gateway", "sluice_router", "sluice_inference"])
def test_nothing_serves_without_its_secrets(module: str) -> None:
    done = run(module, "serve", {})
    assert done.returncode == 2
    assert "SLUICE_ADMIN_KEY is missing" in done.stderr


def test_a_key_of_a_provider_that_is_not_there_is_told_and_is_no_mistake(tmp_path: Path) -> None:
    place = "{base_url: 'https://api.example/v1', auth: {kind: bearer, env: PLACED_NOWHERE}}"
    (tmp_path / "models.yaml").write_text(f"models: [{{name: far, deployments: [{place}]}}]")
    done = run("sluice_router", "check-config", SECRETS | {"SLUICE_CONFIG_DIR": str(tmp_path)})
    assert done.returncode == 0
    assert "the variable PLACED_NOWHERE, which should hold its key, is not set" in done.stdout + done.stderr
    done = run("sluice_router", "check-config", SECRETS | {"SLUICE_CONFIG_DIR": str(tmp_path), "PLACED_NOWHERE": "sk"})
    assert "PLACED_NOWHERE" not in done.stdout + done.stderr
