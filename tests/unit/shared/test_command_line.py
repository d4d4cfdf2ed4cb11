"""What `python -m sluice_<service>` says when its settings are wrong."""

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"SLUICE_GUARDRAIL_RELOAD_S": "-1"}, "`SLUICE_GUARDRAIL_RELOAD_S` must be above 0."),
        ({"SLUICE_TRACE_RATIO": "often"}, "`SLUICE_TRACE_RATIO` must be a number."),
        ({"SLUICE_ENV": "production"}, "SLUICE_ADMIN_KEY is missing or shorter than 16 characters; set it"),
    ],
)
def test_a_wrong_setting_ends_the_start_with_its_name_and_what_to_change(
    environment: dict[str, str], sentence: str
) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SLUICE_")}
    done = subprocess.run(
        [sys.executable, "-m", "sluice_guardrail", "check-config"],
        env=clean | {"SLUICE_ENV": "dev"} | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"The settings of guardrail are not right: {sentence}")
    assert "Traceback" not in done.stderr
