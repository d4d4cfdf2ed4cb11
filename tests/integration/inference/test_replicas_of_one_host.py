"""Replicas of one model on one host: each engine's processes see the GPUs that its description names."""

from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.integration.inference.inference_process import Make

from sluice.testing import free_port, wait_until

pytestmark = pytest.mark.integration


def test_each_replica_starts_with_its_own_gpus_and_sizes(inference: Make, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexec sleep 300\n")  # what is started is looked at, not run: that takes vLLM and GPUs
    python.chmod(0o755)

    def vllm(name: str, gpus: list[int], **sizes: int) -> dict[str, Any]:
        described = {"id": name, "backend": "vllm", "model": "llama", "python": str(python), "model_path": "/m"}
        return described | {"port": free_port(), "template_check": False, "gpus": gpus} | sizes

    service = inference(
        vllm("a", [0, 1], tensor_parallel_size=2),
        vllm("b", [2, 3], tensor_parallel_size=1, pipeline_parallel_size=2),
        vllm("c", [4, 5], data_parallel_size=2),
        kill_after_s="1",
    ).start(ready=False)

    for name, gpus, size in (
        ("a", "0,1", "--tensor-parallel-size 2"),
        ("b", "2,3", "--pipeline-parallel-size 2"),
        ("c", "4,5", "--data-parallel-size 2"),
    ):
        pid = wait_until(lambda name=name: service.engine(name)["pid"], what=f"the start of {name}")
        process = psutil.Process(pid)
        assert process.environ()["CUDA_VISIBLE_DEVICES"] == gpus
        assert size in " ".join(process.cmdline())
