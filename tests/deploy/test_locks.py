"""The lock files hold what the packages declare, with hashes and without any host."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
IMAGES = {path.parent.name.removesuffix("-worker"): path for path in ROOT.glob("services/*/pyproject.toml")}
PIN = re.compile(r"^([a-z0-9._-]+)==[^ ]+", re.MULTILINE)


def _declared(path: Path) -> set[str]:
    project = tomllib.loads(path.read_text())["project"]
    names = {re.split(r"[\[<>=!~ ;]", item)[0].lower().replace("_", "-") for item in project["dependencies"]}
    return {name for name in names if name != "sluice"}


@pytest.mark.parametrize("image", sorted(IMAGES))
def test_an_images_lock_holds_all_that_its_package_declares(image: str) -> None:
    locked = set(PIN.findall((ROOT / f"requirements/{image}.txt").read_text()))
    declared = _declared(IMAGES[image]) | _declared(ROOT / "shared/pyproject.toml")
    assert declared - locked == set(), "run `make lock`"


@pytest.mark.parametrize("image", sorted(IMAGES))
def test_an_image_has_the_versions_that_were_tested(image: str) -> None:
    lines = re.compile(r"^[a-z0-9._-]+==[^ ;\\]+", re.MULTILINE)
    tested = set(lines.findall((ROOT / "requirements/dev.txt").read_text()))
    held = set(lines.findall((ROOT / f"requirements/{image}.txt").read_text()))
    if (
        image == "bridge"
    ):  # an environment of its own: what the others do not have, and one package that its SDKs want older
        names = {pin.partition("==")[0] for pin in tested} - {"anthropic"}
        held = {pin for pin in held if pin.partition("==")[0] in names}
    assert held - tested == set(), "run `make lock`"


@pytest.mark.parametrize("path", sorted((ROOT / "requirements").glob("*.txt")), ids=lambda path: path.name)
def test_every_pin_has_a_hash_and_no_host_is_named(path: Path) -> None:
    text = path.read_text()
    assert "://" not in text
    for block in re.split(r"\n(?=\S)", text.strip()):
        assert "--hash=sha256:" in block, block
