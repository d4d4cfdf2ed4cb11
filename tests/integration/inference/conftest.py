"""Inference services for one test."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.inference.inference_process import Inference, Make, smollm2

from sluice.testing import free_port


@pytest.fixture
def inference(tmp_path: Path) -> Iterator[Make]:
    """Make services with engines and end them, and whatever they left, after the test."""
    made: list[Inference] = []

    def make(*engines: dict[str, Any], **settings: str) -> Inference:
        variables = {f"SLUICE_INFERENCE_{name.upper()}": value for name, value in settings.items()}
        made.append(Inference(tmp_path / f"service{len(made)}", list(engines), variables))
        return made[-1]

    yield make
    for service in made:
        service.process.stop()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inference]:
    """One service with the real engine for all tests of a module that leave it as it was."""
    engine = smollm2(free_port(), lora=True, max_adapters=1, first_adapter_port=free_port())
    at_once = {"SLUICE_INFERENCE_ADAPTER_LEAVE_S": "0"}
    service = Inference(tmp_path_factory.mktemp("inference"), [engine], at_once).start()
    yield service
    service.process.stop()
