from pathlib import Path

import pytest
from pydantic import SecretStr

from sluice.auth import ServiceTokens
from sluice.contracts.routing import DeploymentAuth
from sluice.errors import DependencyUnavailable, Problem
from sluice.secrets import ProviderSecrets
from sluice.settings import ConfigError
from sluice.testing import platform_settings
from sluice_gateway.adapters.credentials import DeploymentCredentials
from sluice_gateway.app import create_app
from sluice_gateway.domain.public_errors import public_error
from sluice_gateway.settings import Settings
from sluice_gateway.wiring import check_config, pepper_of


def with_pepper(pepper: str) -> Settings:
    return Settings(_env_file=None, key_pepper=SecretStr(pepper))


@pytest.mark.parametrize("pepper", ["", "short"])
def test_production_refuses_a_missing_or_short_pepper(tmp_path: Path, pepper: str) -> None:
    production = platform_settings(tmp_path, env="production")
    with pytest.raises(ConfigError, match="SLUICE_GATEWAY_KEY_PEPPER"):
        check_config(production, with_pepper(pepper))
    check_config(production, with_pepper("0123456789abcdef"))


def test_a_developers_pepper_follows_the_service_secret(tmp_path: Path) -> None:
    dev = platform_settings(tmp_path)
    other = platform_settings(tmp_path, service_secret="another-secret-0123456789")
    assert pepper_of(dev, with_pepper("")) == pepper_of(dev, with_pepper(""))
    assert pepper_of(dev, with_pepper("")) != pepper_of(other, with_pepper(""))
    assert pepper_of(dev, with_pepper("mine")) == b"mine"


def test_a_pepper_is_never_shown() -> None:
    assert "topsecret" not in repr(with_pepper("topsecret-topsecret"))


def test_credentials_of_deployments(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tokens = ServiceTokens("service-secret-0123456789-0123456789", "gateway")
    credentials = DeploymentCredentials(tokens, ProviderSecrets(tmp_path))
    monkeypatch.setenv("PROVIDER_KEY", "sk-provider")
    assert credentials.bearer(DeploymentAuth(), "acme") is None
    assert credentials.bearer(DeploymentAuth(kind="bearer", env="PROVIDER_KEY"), "acme") == "sk-provider"
    token = credentials.bearer(DeploymentAuth(kind="service", audience="retrieval"), "acme")
    assert token is not None
    assert tokens.verify(token, "retrieval").tenant == "acme"
    with pytest.raises(DependencyUnavailable) as refused:
        credentials.bearer(DeploymentAuth(kind="bearer", env="NOT_SET_ANYWHERE"), "acme")
    assert "NOT_SET" not in refused.value.detail


def test_the_document_describes_the_request_path_and_the_control_plane() -> None:
    async def closed() -> None:
        raise AssertionError

    document = create_app(closed).openapi()  # type: ignore[arg-type]
    paths = document["paths"]
    for path, method in (
        ("/v1/chat/completions", "post"),
        ("/v1/completions", "post"),
        ("/v1/embeddings", "post"),
        ("/v1/models", "get"),
        ("/v1/usage", "get"),
        ("/admin/keys", "post"),
        ("/admin/keys/{key_id}", "patch"),
        ("/admin/usage/summary", "get"),
    ):
        operation = paths[path][method]
        assert operation["summary"]
        assert operation.get("security"), path
    chat = paths["/v1/chat/completions"]["post"]
    assert set(chat["responses"]["200"]["content"]) == {"application/json", "text/event-stream"}
    assert {"400", "401", "404", "413", "429", "503"} <= set(chat["responses"])


@pytest.mark.parametrize(
    ("status", "shown", "kind"),
    [
        (400, 400, "invalid_request_error"),
        (401, 502, "upstream_error"),
        (404, 404, "invalid_request_error"),
        (429, 429, "rate_limit_error"),
        (500, 502, "upstream_error"),
        (503, 503, "service_unavailable"),
        (504, 504, "timeout_error"),
    ],
)
def test_errors_of_services_keep_their_meaning(status: int, shown: int, kind: str) -> None:
    error = public_error(status, "A sentence.", None, "retrieval")
    assert (error.status, error.type) == (shown, kind)


def test_a_problem_names_its_parameter_and_code() -> None:
    problem = Problem(
        type="t", title="t", status=422, detail="d", code="too_long", errors=({"loc": "body.file.name", "msg": "m"},)
    )
    error = public_error(422, "d", problem, "retrieval")
    assert (error.param, error.code) == ("file.name", "too_long")
