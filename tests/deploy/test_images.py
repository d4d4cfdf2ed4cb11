"""The Dockerfiles: linted, not root, pinned, checked by hash; and the files they copy reach the builder."""

import re
import subprocess
from pathlib import Path

import pytest
from tests.deploy.parts import BIN, ROOT, SERVICE_PARTS, compose

DOCKERFILES = sorted(
    [*ROOT.glob("deploy/docker/*.Dockerfile"), *ROOT.glob("deploy/containers/standins/*.Containerfile")]
)
OURS = [path for path in DOCKERFILES if path.suffix == ".Dockerfile"]


def _id(path: Path) -> str:
    return path.name


@pytest.mark.parametrize("path", DOCKERFILES, ids=_id)
def test_hadolint_finds_nothing(path: Path) -> None:
    done = subprocess.run([str(BIN / "hadolint"), str(path)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", OURS, ids=_id)
def test_images_run_as_a_user_and_tell_their_health(path: Path) -> None:
    final = path.read_text().split("\nFROM ")[-1]
    assert re.search(r"^USER \d+:\d+$", final, re.MULTILINE)
    assert re.search(r"^HEALTHCHECK .* CMD \[", final, re.MULTILINE)
    assert re.search(r"^ENTRYPOINT \[", final, re.MULTILINE)
    assert "pip install" not in final
    assert not re.search(r"build-essential|\bgcc\b|\bg\+\+", final)


@pytest.mark.parametrize("path", OURS, ids=_id)
def test_dependencies_are_wheels_checked_by_hash(path: Path) -> None:
    installs = re.findall(r"pip install ([^\n&;]*)", path.read_text().replace("\\\n", " "))
    assert installs
    assert all("--require-hashes" in line and "--only-binary :all:" in line for line in installs)


@pytest.mark.parametrize("path", OURS, ids=_id)
def test_base_images_are_pinned(path: Path) -> None:
    bases = re.findall(r"^FROM (\S+)", path.read_text(), re.MULTILINE)
    assert set(bases) == {"python:3.11-slim-bookworm"}


def test_stand_ins_carry_the_names_that_are_built_and_run() -> None:
    script = (ROOT / "deploy/containers/__main__.py").read_text()
    made = set(re.findall(r'Base\("docker\.io/(?:library/)?([^"]+)", "([^"]+)"\)', script))
    bases = {base for path in OURS for base in re.findall(r"^FROM (\S+)", path.read_text(), re.MULTILINE)}
    stores = {compose()["services"][name]["image"] for name in ("postgres", "redis")}
    assert {name for name, _ in made} == bases | stores
    assert all((ROOT / "deploy/containers/standins" / recipe).is_file() for _, recipe in made)


@pytest.mark.parametrize("service", [part.name for part in SERVICE_PARTS])
def test_every_lock_file_has_hashes_only(service: str) -> None:
    text = (ROOT / "requirements" / f"{service}.txt").read_text().replace("\\\n", " ")
    pins = [line for line in text.splitlines() if line and not line.startswith(("#", " "))]
    assert pins
    assert [line for line in pins if "==" not in line or "--hash=sha256:" not in line] == []


def test_the_builder_gets_what_the_images_copy_and_nothing_private() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*", "everything is left out but what is named"
    allowed = [line.removeprefix("!").rstrip("/") for line in lines if line.startswith("!")]
    for path in OURS:
        for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", path.read_text(), re.MULTILINE):
            for source in sources.split():
                top = source.rstrip("/").split("/${")[0]
                assert any(top.startswith(item.split("/*")[0]) for item in allowed), source
    assert not any(item.startswith((".env", ".sluice", ".git")) for item in allowed)
