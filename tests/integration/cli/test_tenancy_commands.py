"""`sluice orgs`, `teams`, `keys`, `audit`, `prices`, `cache` and `usage` as a person types them, against a real gateway."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import redis
from typer.testing import CliRunner

from sluice.contracts.routing import SNAPSHOT_KEY, Deployment, Model, Policy, Price, RoutingSnapshot
from sluice.testing import ADMIN_KEY, ServiceProcess, environment_of, free_port, platform_settings, valkey_server
from sluice_cli.app import app
from sluice_cli.platform.errors import CommandFailed

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


def _model(name: str, source: str) -> Model:
    place = Deployment(id=name, base_url="http://127.0.0.1:9/v1", upstream_model=name)
    return Model(name=name, price=Price(input=1.5, output=2.5, source=source), deployments=(place,))


MODELS = RoutingSnapshot(
    version=1,
    published_at=1.0,
    policies=(Policy(name="direct"),),
    models=(_model("listed", "genai-prices 0.2.3"), _model("own", "config 1a2b3c4d")),
)


class Cli(NamedTuple):
    """The command, with a gateway to talk to."""

    url: str
    credential: str = ADMIN_KEY
    api_key: str = ""

    def run(self, *arguments: str) -> Any:
        """Run it in this process, which saves the start of forty."""
        values = {
            "SLUICE_URL": self.url,
            "SLUICE_ADMIN_KEY": self.credential,
            "SLUICE_API_KEY": self.api_key,
            "COLUMNS": "200",
        }
        return CliRunner(env=values).invoke(app, arguments)

    def ok(self, *arguments: str) -> str:
        """Run it, and return what it printed if it ended well."""
        done = self.run(*arguments)
        assert done.exit_code == 0, repr(done.exception)
        return done.stdout.strip()

    def json(self, *arguments: str) -> Any:
        """Run it, and return what it printed as JSON."""
        return json.loads(self.ok(*arguments))

    def refused(self, *arguments: str) -> str:
        """Run it, and return the sentence with which it is refused."""
        done = self.run(*arguments)
        assert isinstance(done.exception, CommandFailed), repr(done)
        assert done.stdout == ""
        return str(done.exception)

    def works(self, secret: str) -> int:
        """Return the status with which a key is answered."""
        return httpx.get(f"{self.url}/v1/usage", headers={"authorization": f"Bearer {secret}"}, timeout=60).status_code


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    folder, port = tmp_path_factory.mktemp("cli"), free_port()
    with valkey_server() as valkey:
        with redis.Redis.from_url(valkey) as client:
            client.set(SNAPSHOT_KEY, MODELS.model_dump_json())
        platform = platform_settings(folder, redis_url=valkey, router_url="http://127.0.0.1:9")
        environment = {**environment_of(platform), "SLUICE_GATEWAY_PORT": str(port)}
        with ServiceProcess("sluice_gateway", ["serve"], environment, folder / "log", cwd=folder) as process:
            process.wait_ready(f"http://127.0.0.1:{port}/healthz")
            yield Cli(f"http://127.0.0.1:{port}")


def test_an_organisation_with_a_team_and_a_key_from_first_to_last(cli: Cli) -> None:
    limits = ("--requests-per-minute", "600", "--budget-per-month-usd", "200.5")
    assert "(tenant acme)" in cli.ok("orgs", "create", "acme", "--region", "eu", "--region", "ch", *limits)
    cli.ok("teams", "create", "search", "--org", "acme", "--model", "smollm2", "--max-concurrent", "4")
    secret = cli.ok("keys", "create", "web", "--team", "search", "--org", "acme", "--days", "30").splitlines()[0]
    assert cli.works(secret) == 200

    row = next(line for line in cli.ok("orgs", "list").splitlines() if " acme " in line)
    assert "eu, ch" in row
    assert "requests_per_minute 600, budget_per_month_usd 200.5" in row
    assert "max_concurrent 4" in cli.ok("teams", "list", "--org", "acme")
    key = cli.json("keys", "list", "--team", "search", "--json")[0]
    assert secret.startswith(key["prefix"])

    changed = cli.json("orgs", "change", "acme", "--no-limit", "requests-per-minute", "--anywhere", "--name", "Acme")
    assert (changed["limits"]["requests_per_minute"], changed["allowed_regions"]) == (None, None)
    assert changed["limits"]["budget_per_month_usd"] == 200.5
    assert cli.json("teams", "change", "search", "--all-models")["models"] is None
    assert cli.json("keys", "change", key["id"], "--team", "none", "--role", "admin")["role"] == "admin"

    for what, called in (("orgs", "Acme"), ("keys", key["id"])):
        cli.ok(what, "disable", called)
        assert cli.works(secret) == 401
        cli.ok(what, "enable", called)
        assert cli.works(secret) == 200
    renewed = cli.ok("keys", "rotate", key["id"], "--grace", "600").splitlines()[0]
    assert [cli.works(found) for found in (secret, renewed)] == [200, 200]
    own = cli._replace(credential=renewed)
    assert [row["name"] for row in own.json("orgs", "list", "--json")] == ["Acme"]
    assert "403" in own.refused("orgs", "create", "another")

    assert "--cascade" not in cli.refused("orgs", "delete", "Acme")
    assert "1 teams; 1 keys are revoked" in cli.ok("orgs", "delete", "Acme", "--cascade")
    assert [cli.works(found) for found in (secret, renewed)] == [401, 401]


def test_the_audit_log_is_listed_and_filtered(cli: Cli) -> None:
    cli.ok("orgs", "create", "audited")
    cli.ok("orgs", "change", "audited", "--max-concurrent", "3")
    found = cli.json("audit", "list", "--org", "audited", "--days", "1", "--json")
    assert [record["action"] for record in found] == ["change", "create"]
    assert found[0]["after"]["limits"]["max_concurrent"] == 3
    assert len(cli.json("audit", "list", "--limit", "1", "--json")) == 1
    assert cli.json("audit", "list", "--org", "audited", "--action", "create", "--json") == found[1:]
    assert '"max_concurrent": 3' in cli.ok("audit", "list", "--target", found[0]["target_id"])
    assert cli.json("audit", "show", found[0]["id"]) == found[0]


def test_what_cannot_be_done_is_one_sentence(cli: Cli) -> None:
    assert "no organisation 'nobody'" in cli.refused("orgs", "show", "nobody")
    assert "no team 'nobody'" in cli.refused("teams", "show", "nobody")
    assert "Say what to change" in cli.refused("keys", "change", "key_1")
    cli.ok("orgs", "create", "one")
    cli.ok("orgs", "create", "two")
    for org in ("one", "two"):
        cli.ok("teams", "create", "same", "--org", org)
    assert "--org" in cli.refused("teams", "show", "same")
    assert cli.json("teams", "show", "same", "--org", "two")["name"] == "same"
    assert "409" in cli.refused("teams", "create", "same", "--org", "two")


def test_usage_is_written_into_a_new_file(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "usage.csv"
    said = cli.ok("usage", "export", str(file), "--all")
    assert said.endswith(f"{file.stat().st_size} bytes")
    assert file.read_text().startswith("event_id,request_id,at,tenant,")
    assert "cannot be written" in cli.refused("usage", "export", str(file), "--all")
    refused = tmp_path / "refused.csv"
    assert "was refused with 401" in cli._replace(credential="wrong").refused("usage", "export", str(refused), "--all")
    assert not refused.exists()


def test_prices_are_listed_set_from_a_day_on_and_deleted(cli: Cli) -> None:
    row = next(line for line in cli.ok("prices", "list").splitlines() if line.startswith("listed"))
    assert row.split() == ["listed", "1.5", "2.5", "0", "genai-prices", "0.2.3"]
    tiers = ("--tier", "200000:6:20", "--tier", "400000:8:30")
    first = cli.ok("prices", "set", "listed", "--input", "3", "--output", "9", "--cached-input", "0.3", *tiers)
    shown = cli.json("prices", "show", "listed")
    assert (shown["price"]["source"], shown["price"]["cached_input"]) == (f"override {first}", 0.3)
    assert [tier["above"] for tier in shown["price"]["tiers"]] == [200_000, 400_000]
    later = cli.ok("prices", "set", "listed", "--input", "4", "--from", "2999-01-01")
    assert {row["id"] for row in cli.json("prices", "overrides", "--model", "listed", "--json")} == {first, later}
    assert "2999-01-01 00:00" in cli.ok("prices", "overrides")
    assert cli.ok("prices", "delete", first) == f"{first} of listed is deleted."
    assert cli.json("prices", "show", "listed")["price"]["input"] == 1.5
    assert "comes before this one" in cli.ok("prices", "set", "own", "--input", "4")
    assert "There is no model new yet" in cli.ok("prices", "set", "new", "--input", "4")
    actions = [row["action"] for row in cli.json("audit", "list", "--target", later, "--json")]
    assert actions == ["create"]


def test_what_is_wrong_with_a_price_is_said(cli: Cli) -> None:
    assert "ABOVE:INPUT:OUTPUT" in cli.refused("prices", "set", "listed", "--input", "1", "--tier", "5:1")
    assert "is no date or time" in cli.refused("prices", "set", "listed", "--input", "1", "--from", "tomorrow")
    assert "There is no model ghost" in cli.refused("prices", "show", "ghost")
    assert "There is no price with id price_x" in cli.refused("prices", "delete", "price_x")


def test_caches_and_sums_of_usage(cli: Cli) -> None:
    assert cli.json("cache", "show")["entries"] == 0
    assert cli.ok("cache", "forget", "--model", "listed") == "Answers kept so far (model:listed) count no more."
    assert "Say which" in cli.refused("cache", "forget")
    assert "all together" in cli.ok("usage", "summary", "--by", "day")
    assert cli.json("usage", "latency", "--all", "--json") == []
    assert cli.json("usage", "summary", "--json")["totals"]["requests"] == 0
    assert "0 sums of hours and days were made in" in cli.ok("usage", "rebuild")


def test_notes_and_policies(cli: Cli) -> None:
    cli.ok("orgs", "create", "notes", "--metadata", "cost_centre=42", "--metadata", "owner=a=b")
    assert cli.json("orgs", "show", "notes")["metadata"] == {"cost_centre": "42", "owner": "a=b"}
    cli.ok("teams", "create", "blue", "--org", "notes", "--metadata", "x=1")
    assert cli.json("teams", "change", "blue", "--metadata", "y=2")["metadata"] == {"y": "2"}
    cli.ok("keys", "create", "with-policy", "--org", "notes", "--policy", "direct", "--metadata", "z=3")
    key = cli.json("keys", "list", "--org", "notes", "--json")[0]
    assert (key["policy"], key["metadata"]) == ("direct", {"z": "3"})
    assert cli.json("keys", "change", key["id"], "--policy", "none")["policy"] is None
    assert "is not NAME=VALUE" in cli.refused("keys", "change", key["id"], "--metadata", "alone")


def test_prompts_are_pushed_put_in_use_and_taken_back(cli: Cli, tmp_path: Path) -> None:
    own = cli._replace(api_key=cli.ok("keys", "create", "writer", "--tenant", "writers").splitlines()[0])
    file = tmp_path / "greet.yaml"
    file.write_text("sections: {system: 'You greet {{who}}.', task: Say hello.}\ndefaults: {who: us}\n")
    assert own.ok("prompts", "push", "greet", str(file)) == "greet: version 1 is in use."
    file.write_text("sections: {task: 'Wave at {{who}}.'}")
    assert "version 2" in own.ok("prompts", "push", "greet", str(file))
    assert own.ok("prompts", "render", "greet", "--set", "who=Ann").startswith("[system]\nYou greet Ann.")
    own.ok("prompts", "release", "greet")
    assert own.ok("prompts", "render", "greet", "--set", "who=Ann") == "[user]\nWave at Ann."
    assert own.ok("prompts", "list").splitlines()[1].split() == ["greet", "2", "2"]
    own.ok("prompts", "release", "greet", "--version", "1")
    assert own.json("prompts", "show", "greet")["version"] == 1
    assert "without a value: who" in own.refused("prompts", "render", "greet", "--version", "2")
    shares = own.ok("prompts", "split", "greet", "1=30", "2=10").splitlines()[1:]
    assert [line.split() for line in shares] == [["1", "30", "75.0%"], ["2", "10", "25.0%"]]
    file.write_text("shares: [{version: 1, weight: 1}, {version: 2, weight: 1}]")
    assert own.json("prompts", "split", "greet", "--file", str(file), "--json")["shares"][1]["weight"] == 1
    tuned = own.ok("prompts", "split", "greet", "1=50", "2=50", "--tune", "validity")
    assert [line.split() for line in tuned.splitlines()[1:]] == [["1", "50", "50.0%"], ["2", "50", "50.0%"]]
    followed = own.ok("prompts", "split", "greet")
    assert "Follows validity. 100 outcomes of every version are needed" in followed
    assert "--file" in own.refused("prompts", "split", "greet", "--tune", "cost")
    assert "VERSION=WEIGHT" in own.refused("prompts", "split", "greet", "2:10")
    assert "no version 3" in own.refused("prompts", "split", "greet", "1=1", "3=1")
    assert "one of" in own.refused("prompts", "split", "greet", "1=1", "--end")
    assert own.ok("prompts", "split", "greet", "--end") == "greet: version 1 is in use."
    assert "no split" in own.refused("prompts", "split", "greet")
    changes = [line.split()[3:] for line in own.ok("prompts", "split", "greet", "--changes").splitlines()[1:]]
    assert changes == [
        ["ended", "none", "1"],
        ["set", "1=50", "2=50", "1"],
        ["set", "1=1", "2=1", "1"],
        ["set", "1=30", "2=10", "1"],
    ]
    file.write_text("[")
    assert "is neither YAML nor JSON" in own.refused("prompts", "push", "greet", str(file))
    own.ok("prompts", "delete", "greet")
    assert "no prompt greet" in own.refused("prompts", "show", "greet")


def test_quotas_are_set_and_listed(cli: Cli) -> None:
    cli.ok("orgs", "create", "keepers", "--file-bytes", "5000000000", "--unfinished-batches", "7")
    assert "file_bytes 5000000000, unfinished_batches 7" in cli.ok("orgs", "list")
    files, batches = (line.split() for line in sorted(cli.ok("quotas", "--org", "keepers").splitlines()[1:]))
    assert (files[0], files[2], *files[-3:]) == ("file_bytes", "keepers", "0", "5000000000", "0.0%")
    assert (batches[0], *batches[-3:]) == ("unfinished_batches", "0", "7", "0.0%")
    changed = cli.json("orgs", "change", "keepers", "--no-limit", "file-bytes")["limits"]
    assert (changed["file_bytes"], changed["unfinished_batches"]) == (None, 7)
    found = {one["quota"]: one for one in cli.json("quotas", "--org", "keepers", "--json")}
    assert (found["file_bytes"]["limit"], found["file_bytes"]["own_limit"]) == (100 * 1024**3, False)
    assert cli.json("quotas", "--org", "keepers", "--min-share", "0.5", "--json") == []


def test_budgets_are_listed(cli: Cli) -> None:
    cli.ok("orgs", "create", "spenders", "--budget-per-day-usd", "5")
    cli.ok("keys", "create", "small", "--org", "spenders", "--budget-per-month-usd", "2")
    rows = [line.split() for line in cli.ok("budgets", "--org", "spenders").splitlines()[1:]]
    assert {(row[0], row[2], row[4], row[6], row[7]) for row in rows} == {
        ("organization", "spenders", "day", "5", "0.0%"),
        ("key", "small", "month", "2", "0.0%"),
    }
    assert cli.json("budgets", "--org", "spenders", "--min-share", "0.5", "--json") == []
