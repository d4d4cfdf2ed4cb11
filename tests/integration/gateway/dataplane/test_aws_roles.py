"""Credentials of the machine for Bedrock, through botocore, from servers that speak AWS's own protocols."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from gateway_parts import deployment, model, snapshot

from sluice.auth import ServiceTokens
from sluice.contracts.routing import DeploymentAuth, RoutingSnapshot
from sluice.errors import DependencyUnavailable
from sluice.secrets import ProviderSecrets
from sluice_gateway.adapters.aws_role import AwsRole
from sluice_gateway.adapters.aws_signing import AwsCredentials
from sluice_gateway.adapters.credentials import DeploymentCredentials

pytestmark = pytest.mark.integration
AUTH = DeploymentAuth(kind="aws", region="eu-north-1")
URL = "https://bedrock-runtime.eu-north-1.amazonaws.com/model/m/converse"


class Metadata(BaseHTTPRequestHandler):
    """The instance's (IMDSv2), the container's and the token service's answers; only who asks as AWS demands gets one."""

    def do_PUT(self) -> None:
        self._say("a-token" if self.headers.get("x-aws-ec2-metadata-token-ttl-seconds") else None)

    def do_GET(self) -> None:
        ends = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        keys = {
            "AccessKeyId": "AKIA",
            "SecretAccessKey": "secret",
            "Token": "session",
            "Expiration": ends,
            "Code": "Success",
        }
        if self.path == "/creds":
            known = self.headers.get("authorization") == "container-token"
            self._say(json.dumps(keys | {"AccessKeyId": "ASIACONTAINER"}) if known else None)
        elif self.headers.get("x-aws-ec2-metadata-token") != "a-token":
            self._say(None)
        elif self.path == "/latest/meta-data/iam/security-credentials/":
            self._say("the-role")
        else:
            self._say(json.dumps(keys | {"AccessKeyId": "ASIAINSTANCE"}))

    def do_POST(self) -> None:
        asked = self.rfile.read(int(self.headers["content-length"])).decode()
        ends = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        wanted = "AssumeRoleWithWebIdentity" in asked and "WebIdentityToken=the-web-token" in asked
        self._say(
            f"<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>ASIAWEB</AccessKeyId>"
            f"<SecretAccessKey>secret</SecretAccessKey><SessionToken>session</SessionToken><Expiration>{ends}</Expiration></Credentials>"
            f"</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
            if wanted
            else None
        )

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _say(self, text: str | None) -> None:
        body = (text or "").encode()
        self.send_response(200 if text else 401)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def _metadata() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Metadata) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def metadata() -> Iterator[str]:
    with _metadata() as url:
        yield url


@pytest.fixture(autouse=True)
def _bare_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_PROFILE",
        "AWS_EC2_METADATA_DISABLED",
    ):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-north-1")


async def _found(role: AwsRole) -> AwsCredentials:
    task = asyncio.create_task(role.keep())
    try:
        async with asyncio.timeout(60):
            while True:
                with suppress(DependencyUnavailable):
                    return role.credentials()
                await asyncio.sleep(0.01)
    finally:
        task.cancel()


@pytest.mark.parametrize("kind", ["variables", "instance", "container", "web identity", "profile"])
async def test_the_machines_own_credentials_are_found(
    kind: str, metadata: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if kind == "variables":
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAENV")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    elif kind == "instance":
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata)
    elif kind == "container":
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{metadata}/creds")
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "container-token")
    elif kind == "profile":
        (tmp_path / "credentials").write_text("[work]\naws_access_key_id=AKIAPROFILE\naws_secret_access_key=secret\n")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
        monkeypatch.setenv("AWS_PROFILE", "work")
    else:
        (tmp_path / "token").write_text("the-web-token")
        monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
        monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/bedrock")
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", metadata)
    found = await _found(AwsRole(again_s=0.05))
    ids = {
        "variables": "AKIAENV", "instance": "ASIAINSTANCE", "container": "ASIACONTAINER", "web identity": "ASIAWEB", "profile": "AKIAPROFILE",
    }  # fmt: skip
    assert (found.access_key, found.secret_key) == (ids[kind], "secret")
    assert found.token == (None if kind in ("variables", "profile") else "session")


async def test_a_deployment_without_keys_is_signed_with_them_and_new_ones_count_at_once() -> None:
    given = iter(AwsCredentials(f"AKIA{number}", "secret", "session") for number in range(1000))
    role = AwsRole(lambda: next(given), every_s=0.01)
    credentials = DeploymentCredentials(ServiceTokens("x" * 32, "gateway"), ProviderSecrets(Path("/nowhere")), role)
    with pytest.raises(DependencyUnavailable, match="AWS credentials of this machine"):
        credentials.signed(AUTH, URL, b"{}")
    task = asyncio.create_task(role.keep())
    seen: set[str] = set()
    async with asyncio.timeout(60):
        while len(seen) < 3:
            await asyncio.sleep(0.005)
            with suppress(DependencyUnavailable):
                headers = dict(credentials.signed(AUTH, URL, b"{}"))
                assert headers["X-Amz-Security-Token"] == "session"
                seen.add(headers["Authorization"].partition("Credential=")[2].partition("/")[0])
    task.cancel()


async def test_nobody_looks_unless_a_deployment_wants_them() -> None:
    asked: list[int] = []
    role = AwsRole(lambda: asked.append(1))
    credentials = DeploymentCredentials(ServiceTokens("x" * 32, "gateway"), ProviderSecrets(Path("/nowhere")), role)
    task = asyncio.create_task(role.keep())
    for auth in (DeploymentAuth(), DeploymentAuth(kind="aws", env="KEYS", region="eu-north-1"), AUTH):
        credentials.expect(_routing(auth))
        await asyncio.sleep(0.05)
        async with asyncio.timeout(60):
            while auth is AUTH and not asked:
                await asyncio.sleep(0.01)
        assert len(asked) == (auth is AUTH)
    task.cancel()


def _routing(auth: DeploymentAuth) -> RoutingSnapshot:
    return snapshot(model("m", deployment("d", "https://bedrock.example", provider="bedrock", auth=auth)))
