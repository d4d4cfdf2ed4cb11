"""What check-config says of the usual mistakes in engines.yaml: the line, the place, and what to change."""

from pathlib import Path

import pytest

from sluice.settings import ConfigError
from sluice.testing import platform_settings
from sluice_inference.settings import Settings
from sluice_inference.wiring import load_engines

VLLM = "engines:\n  - {id: v, backend: vllm, model: m, model_path: /m, %s}\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (VLLM % "quantisation: awq", "line 2: engines.0.quantisation: there is no such field; did you mean 'quantization'?"),
        (VLLM % "speculation: {method: ngram, token: 3}", "line 2: engines.0.speculation.token: there is no such field; did you mean 'tokens'?"),
        (VLLM % "tensor_parallel_size: 0", "line 2: engines.0.tensor_parallel_size: must be 1 or more"),
        (VLLM % "slots: 100, batch_tokens: 64", "line 2: engines.0: batch_tokens (64) is below slots (100): each running request needs a token of a step. Raise batch_tokens or lower slots"),
        ("engines: []\n", "line 1: engines: must not be empty"),
        ("engines:\n - {id: x, backend: tgi}\n", "line 2: engines.0: must have as 'backend' one of 'llamacpp', 'vllm', 'remote'"),
        ("engines:\n - {id: x, backend: remote, model: m}\n", "line 2: engines.0.base_url: this field is missing; add it"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_once_with_what_to_change(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "engines.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_engines(platform_settings(tmp_path, config_dir=tmp_path), Settings(_env_file=None))
    assert str(caught.value) == f"{tmp_path / 'engines.yaml'} is not right: {said}"
