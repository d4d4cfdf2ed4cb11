"""Peers in environments of their own: which release is pinned, which one is there, and nginx's configuration."""

from pathlib import Path

import pytest
from tests.bench.environments import PYTHON_PEERS, PythonPeer
from tests.bench.errors import BenchError
from tests.bench.rows.base import Row
from tests.bench.rows.nginx import configuration


@pytest.fixture
def peer(tmp_path: Path) -> PythonPeer:
    (tmp_path / "inputs").mkdir()
    (tmp_path / "inputs" / "router.in").write_text("# why\nsome-router[proxy]==1.2.3\n")
    return PythonPeer("router", "some-router", "route", "", tmp_path / "environments", tmp_path / "inputs")


def install(peer: PythonPeer, version: str) -> None:
    packages = peer.environments / peer.name / "lib" / "python3.11" / "site-packages"
    about = packages / f"some_router-{version}.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: some-router\nVersion: {version}\n")
    peer.path.parent.mkdir(parents=True)
    peer.path.touch()


def test_a_peer_that_is_not_installed_says_how_to_install_it(peer: PythonPeer) -> None:
    assert peer.installed() is None
    assert peer.missing() == "it is not installed (make bench-peers installs it)"


def test_a_peer_in_the_pinned_release_may_run(peer: PythonPeer) -> None:
    install(peer, "1.2.3")
    assert peer.missing() is None


def test_a_peer_in_another_release_may_not(peer: PythonPeer) -> None:
    install(peer, "1.3.0")
    assert peer.missing() == "1.3.0 is installed and 1.2.3 is pinned (make bench-peers installs it)"


def test_an_input_without_a_pin_is_an_error(peer: PythonPeer) -> None:
    (peer.inputs / "router.in").write_text("some-router>=1\n")
    with pytest.raises(BenchError, match="does not pin some-router"):
        peer.pinned()


@pytest.mark.parametrize("found", PYTHON_PEERS, ids=lambda found: found.name)
def test_every_peers_lock_holds_its_pin_with_hashes(found: PythonPeer) -> None:
    lock = (found.inputs / f"{found.name}.txt").read_text()
    assert f"{found.package}=={found.pinned()} \\\n    --hash=sha256:" in lock
    assert "://" not in lock


def test_a_rows_title_has_its_release() -> None:
    def nothing(*_: object) -> None:
        return None

    assert Row("x", nothing, nothing, lambda: "1.0").title == "x 1.0"  # type: ignore[arg-type]
    assert Row("x", nothing, nothing).title == "x"  # type: ignore[arg-type]


def test_nginx_has_one_worker_on_its_core_a_key_and_kept_connections() -> None:
    text = configuration("/folder", 8001, 8002, core=3)
    for line in (
        "worker_processes 1;",
        "worker_cpu_affinity 1000;",
        "listen 127.0.0.1:8001;",
        "server 127.0.0.1:8002;",
        "keepalive 128;",
        "if ($known = 0) {",
        'proxy_set_header Connection "";',
        "client_body_temp_path /folder/client_body;",
    ):
        assert line in text
    assert text.count("{") == text.count("}")
