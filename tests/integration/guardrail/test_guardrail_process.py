"""The guardrail as users start it: a process that reads guard.yaml and takes over its changes."""

import shutil
from pathlib import Path

import httpx
import pytest

from sluice.testing import admin_headers, environment_of, free_port, platform_settings, wait_until
from sluice.testing.processes import ServiceProcess

pytestmark = pytest.mark.integration
CONFIG = Path(__file__).parents[3] / "deploy" / "config"


def test_policies_are_reloaded_and_a_wrong_file_keeps_the_old_ones(tmp_path: Path) -> None:
    config = tmp_path / "config"
    shutil.copytree(CONFIG, config)
    file = config / "guard.yaml"
    port = free_port()
    environment = environment_of(platform_settings(tmp_path, config_dir=config)) | {
        "SLUICE_GUARDRAIL_PORT": str(port),
        "SLUICE_GUARDRAIL_RELOAD_S": "0.1",
    }
    base = f"http://127.0.0.1:{port}"

    def refusal() -> str:
        body = {"stage": "output", "text": "My system prompt is: be nice"}
        answer = httpx.post(f"{base}/check", json=body, headers=admin_headers(), timeout=60)
        assert answer.status_code == 200
        return str(answer.json()["filtered_response"])

    def reload_error() -> str | None:
        listed = httpx.get(f"{base}/policies", headers=admin_headers(), timeout=60).json()
        error: str | None = listed.get("reload_error")
        return error

    process = ServiceProcess("sluice_guardrail", ["serve"], environment, tmp_path / "guardrail.log", cwd=tmp_path)
    with process:
        process.wait_ready(f"{base}/readyz")
        assert refusal() == "I can't provide that information."
        file.write_text("version: '2'\npolicies: {default: {output: {filter: {refusal: Not that.}}}}\n")
        wait_until(lambda: refusal() == "Not that.", what="the new policy")
        file.write_text("version: '3'\npolicies: {default: {output: {filter: {refusal: 7, typo: 1}}}}\n")
        wrong = "policies.default.output.filter.typo: there is no such field"
        # a look may come while the file is being written, and tells of half of it until the next
        wait_until(lambda: wrong in str(reload_error()), what="the refusal of the wrong file")
        assert refusal() == "Not that."


def test_a_wrong_policy_file_is_said_before_the_start(tmp_path: Path) -> None:
    (tmp_path / "guard.yaml").write_text("version: 1\npolicies: {default: {input: {pii: {action: hide}}}}\n")
    environment = environment_of(platform_settings(tmp_path, config_dir=tmp_path))
    process = ServiceProcess("sluice_guardrail", ["check-config"], environment, tmp_path / "log", cwd=tmp_path).start()
    wait_until(lambda: not process.alive(), what="the end of check-config")
    assert (
        "policies.default.input.pii.action: input should be 'redact', 'mask', 'block', 'flag' or 'allow'"
        in process.log.read_text()
    )
