"""Resolves the workspace's dependencies and writes the lock files: names, versions and hashes, never an index's host."""

import re
import subprocess
import sys
from pathlib import Path
from tempfile import NamedTemporaryFile

ROOT = Path(__file__).resolve().parent.parent
IMAGES = {
    "gateway": "gateway",
    "router": "router",
    "guardrail": "guardrail",
    "retrieval": "retrieval",
    "inference": "inference",
    "finetune": "finetune-worker",
    "eval": "eval",
    "feedback": "feedback",
}
EXTRAS = {"gateway": ("bedrock", "s3")}  # what an image has besides its package's own dependencies
OWN = ["sluice", "sluice-cli", "sluice-bridge", *(f"sluice-{name}" for name in IMAGES)]
ELSEWHERE = {"services/bridge/pyproject.toml"}  # its SDKs want other versions than the rest: an environment of its own


def compile_lock(output: str, *inputs: str) -> None:
    """Write one lock file below requirements/."""
    command = [
        str(Path(sys.executable).parent / "uv"),
        *("pip", "compile", "--quiet", "--universal", "--python-version", "3.11", "--generate-hashes", "--no-header"),
        *("--no-annotate", "--no-emit-index-url", "--no-emit-find-links"),
        *(option for name in OWN for option in ("--no-emit-package", name)),
        *inputs,
        *("-o", f"requirements/{output}.txt"),
    ]
    subprocess.run(command, check=True, cwd=ROOT)
    print(f"requirements/{output}.txt")


def compile_vllm(output: str, *options: str) -> None:
    """Write a lock file of vLLM's own environment: Linux on x86-64 with Python 3.11.

    Torch for CPUs is on PyTorch's own index: name it in UV_EXTRA_INDEX_URL, or a folder with the wheel in UV_FIND_LINKS.
    """
    command = [
        str(Path(sys.executable).parent / "uv"),
        *("pip", "compile", "--quiet", "--python-version", "3.11", "--python-platform", "x86_64-manylinux_2_28"),
        *("--generate-hashes", "--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"),
        *options,
        f"requirements/{output}.in",
        *("-o", f"requirements/{output}.txt"),
    ]
    subprocess.run(command, check=True, cwd=ROOT)
    print(f"requirements/{output}.txt")


def compile_bridge() -> None:
    """Write the lock file of the bridge's own environment: the versions of dev.txt, but for packages that its SDKs want older."""
    own = {"anthropic"}
    pins = [
        block
        for block in re.split(r"\n(?=\S)", (ROOT / "requirements/dev.txt").read_text())
        if re.split(r"[=\[ ]", block)[0] not in own
    ]
    with NamedTemporaryFile("w", suffix=".txt") as constraints:
        constraints.write("\n".join(pins))
        constraints.flush()
        compile_lock("bridge", "-c", constraints.name, "shared/pyproject.toml", "services/bridge/pyproject.toml")


def main() -> None:
    """Write all lock files; each image's is a subset of dev.txt. With `vllm` as argument: those of vLLM's environments only."""
    if sys.argv[1:] == ["vllm"]:
        compile_vllm("vllm", "--override", "requirements/vllm-overrides.in")
        compile_vllm("vllm-gpu")
        return
    members = sorted(
        name
        for path in [*ROOT.glob("services/*/pyproject.toml"), ROOT / "cli/pyproject.toml"]
        if (name := str(path.relative_to(ROOT))) not in ELSEWHERE
    )
    compile_lock("dev", "pyproject.toml", "--group", "dev", "shared/pyproject.toml", *members)
    compile_lock("models", "--no-deps", "requirements/models.in")
    compile_lock("video", "--no-deps", "-c", "requirements/dev.txt", "requirements/video.in")
    compile_lock("uv", "-c", "requirements/dev.txt", "requirements/uv.in")
    for image, folder in IMAGES.items():
        extras = (option for name in EXTRAS.get(image, ()) for option in ("--extra", name))
        package = f"services/{folder}/pyproject.toml"
        compile_lock(image, "-c", "requirements/dev.txt", "shared/pyproject.toml", package, *extras)
    compile_bridge()


if __name__ == "__main__":
    main()
