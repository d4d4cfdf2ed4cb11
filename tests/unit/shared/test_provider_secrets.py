"""Keys of providers from variables and files."""

import time
from pathlib import Path

import pytest

from sluice.contracts.routing import DeploymentAuth
from sluice.secrets import ProviderSecrets


def test_a_key_comes_from_a_variable_or_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = ProviderSecrets(tmp_path)
    monkeypatch.setenv("A_KEY", "from-a-variable")
    assert secrets.read(DeploymentAuth(kind="bearer", env="A_KEY")) == "from-a-variable"
    assert secrets.read(DeploymentAuth(kind="bearer", env="NO_SUCH_KEY")) is None
    (tmp_path / "openai").write_text("from-a-file\n")
    assert secrets.read(DeploymentAuth(kind="bearer", file="openai")) == "from-a-file"
    for name, content in (("empty", b"\n"), ("binary", b"\xff\xfe\xff")):
        (tmp_path / name).write_bytes(content)
        assert secrets.read(DeploymentAuth(kind="bearer", file=name)) is None
    assert secrets.read(DeploymentAuth(kind="bearer", file="absent")) is None


def test_a_replaced_file_is_used_within_a_second(tmp_path: Path) -> None:
    secrets, auth = ProviderSecrets(tmp_path), DeploymentAuth(kind="bearer", file="key")
    assert secrets.read(auth) is None
    (tmp_path / "key").write_text("first")
    deadline = time.monotonic() + 60
    while secrets.read(auth) != "first":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    other = tmp_path / "other"
    other.write_text("again")  # as long as the first, and put in its place in one step
    other.rename(tmp_path / "key")
    while secrets.read(auth) != "again":
        assert time.monotonic() < deadline
        time.sleep(0.05)
