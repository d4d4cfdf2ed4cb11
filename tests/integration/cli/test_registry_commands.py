"""`sluice models`, `deployments`, `routes`, `aliases`, `router` and `usage` as a person types them, against a real gateway and router."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from typer.testing import CliRunner

from sluice.testing import ADMIN_KEY, ServiceProcess, environment_of, free_port, platform_settings
from sluice_cli.app import app
from sluice_cli.platform.errors import CommandFailed

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]
PLACE = {"base_url": "http://127.0.0.1:9/v1", "health": {"enabled": False}}
FILE = {"models": [{"name": "home", "price": {"input": 0}, "deployments": [PLACE]}]}


class Cli(NamedTuple):
    """The command, with a gateway and a router to talk to."""

    gateway: str
    router: str

    def run(self, *arguments: str, text: str | None = None) -> Any:
        """Run it in this process."""
        values = {"SLUICE_URL": self.gateway, "SLUICE_ADMIN_KEY": ADMIN_KEY, "COLUMNS": "200"}
        return CliRunner(env=values).invoke(app, arguments, input=text)

    def ok(self, *arguments: str, text: str | None = None) -> str:
        """Run it, and return what it printed if it ended well."""
        done = self.run(*arguments, text=text)
        assert done.exit_code == 0, repr(done.exception)
        return str(done.stdout.strip())

    def json(self, *arguments: str) -> Any:
        """Run it, and return what it printed as JSON."""
        return json.loads(self.ok(*arguments))

    def refused(self, *arguments: str) -> str:
        """Run it, and return the sentence with which it is refused."""
        done = self.run(*arguments)
        assert isinstance(done.exception, CommandFailed), repr(done)
        return str(done.exception)


@pytest.fixture(scope="module")
def cli(valkey: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    folder = tmp_path_factory.mktemp("registry")
    (folder / "models.yaml").write_text(yaml.safe_dump(FILE))
    ports = {"router": free_port(), "gateway": free_port()}
    platform = platform_settings(
        folder, redis_url=valkey, config_dir=folder, router_url=f"http://127.0.0.1:{ports['router']}"
    )
    environment = {**environment_of(platform)} | {f"SLUICE_{k.upper()}_PORT": str(port) for k, port in ports.items()}
    with (
        ServiceProcess("sluice_router", ["serve"], environment, folder / "router.log", cwd=folder) as router,
        ServiceProcess("sluice_gateway", ["serve"], environment, folder / "gateway.log", cwd=folder) as gateway,
    ):
        for process, port in ((router, ports["router"]), (gateway, ports["gateway"])):
            process.wait_ready(f"http://127.0.0.1:{port}/healthz")
        yield Cli(f"http://127.0.0.1:{ports['gateway']}", f"http://127.0.0.1:{ports['router']}")


def test_a_model_from_first_to_last(cli: Cli, tmp_path: Path) -> None:
    create = ("models", "create", "org/fast", "--base-url", PLACE["base_url"], "--field", "price.input=0.5")
    create += ("--provider", "vllm", "--adapter", "tuned")
    assert "would be at version 1" in cli.ok(*create, "--dry-run")
    assert cli.ok(*create, "--idempotency-key", "once-and-no-more") == "model org/fast is at version 1."
    assert cli.ok(*create, "--idempotency-key", "once-and-no-more") == "model org/fast is at version 1."
    assert "already" in cli.refused(*create)
    assert cli.json("models", "show", "org/fast")["spec"]["price"]["input"] == 0.5
    first = cli.json("deployments", "list", "--model", "org/fast", "--json")[0]["spec"]
    assert (first["provider"], first["adapter"]) == ("vllm", "tuned")
    cli.ok("models", "set", "org/fast", "context_tokens=77", "domains=[code]", "--if-version", "1")
    assert "read it again" in cli.refused("models", "set", "org/fast", "context_tokens=78", "--if-version", "1")
    assert (
        cli.refused("models", "set", "org/fast", "nonsense")
        == "nonsense is not FIELD=VALUE, such as context_tokens=8192."
    )
    assert "edit the file" in cli.refused("models", "delete", "home")
    listed = cli.json("models", "list", "--json")
    assert [(one["name"], one["declared_in"], one["spec"]["context_tokens"]) for one in listed] == [
        ("home", "file", 8192), ("org/fast", "api", 77),
    ]  # fmt: skip
    assert "org/fast" in cli.ok("models", "list", "--declared-in", "api")
    assert cli.ok("deployments", "add", "org/fast", "--base-url", PLACE["base_url"]).startswith("deployment org/fast-2")
    cli.ok("deployments", "set", "org/fast-2", "weight=0.25")
    assert [one["spec"]["weight"] for one in cli.json("deployments", "list", "--model", "org/fast", "--json")] == [
        1,
        0.25,
    ]
    cli.ok("routes", "create", "fastest", "--candidate", "org/fast", "--fallback", "home")
    cli.ok("aliases", "create", "gpt-4o", "fastest")
    assert "still in use" in cli.refused("models", "delete", "org/fast")
    cli.ok("routes", "set", "fastest", "targets.cost=0.000001")
    said = cli.ok("router", "explain", "fastest", "How tall is K2?", "--prompt-tokens", "10", "--url", cli.router)
    assert said.startswith("home on home-1: fallback: no deployment before home can answer")
    assert "length: about 10 tokens" in said
    assert "No model of 'fastest' may or can" in cli.refused(
        "router", "explain", "gpt-4o", "--region", "eu", "--url", cli.router
    )
    file = tmp_path / "policies.yaml"
    file.write_text(yaml.safe_dump([{"name": "one"}, {"name": "two", "guard_input": "enforce"}]))
    assert cli.ok("policies", "apply", str(file)).count("is at version") == 2
    assert "policy one" in cli.ok("policies", "apply", "-", text="name: one\ndeadline_s: 3\n")
    assert [one["name"] for one in cli.json("policies", "list", "--json")] == ["one", "two"]
    versions = cli.json("router", "versions", "--json")
    assert versions[-1]["changes"][0]["after"]["name"] == "org/fast"
    assert cli.ok("router", "rollback", "2").startswith(f"In force: version {len(versions) + 1} with 1 objects")
    assert cli.json("aliases", "list", "--json") == []

    assert cli.ok("models", "delete", "org/fast").startswith("model org/fast is deleted")


def test_the_router_tells_what_is_in_force_and_reads_the_file_again(cli: Cli) -> None:
    state = cli.json("router", "status", "--url", cli.router)
    assert (state["file"]["problem"], state["registry"]["held_back"]) == (None, [])
    assert cli.ok("router", "reload", "--url", cli.router).startswith("Nothing changed; snapshot ")


def test_usage_takes_dates_and_filters_and_a_key_is_made_once(cli: Cli) -> None:
    one, again = [cli.ok("keys", "create", "k", "--idempotency-key", "the-very-same") for _ in range(2)]
    assert one == again
    assert cli.json("usage", "--all", "--from", "2026-01-01", "--to", "2026-01-02T00:00+01:00", "--json")["data"] == []
    assert cli.json("usage", "--all", "--model", "home", "--from", "1700000000", "--json")["data"] == []
    assert "is no date or time" in cli.refused("usage", "--from", "yesterday")
