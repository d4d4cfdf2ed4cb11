"""What processors and accelerators of this host have used, from their own energy counters."""

import logging
from collections.abc import Collection
from pathlib import Path

_log = logging.getLogger(__name__)
_MICRO, _MILLI = 1e-6, 1e-3


class HostEnergy:
    """Reads `cpu` (RAPL of all packages, as Linux shows it in `powercap`) and `gpu:N` (NVML, the N-th NVIDIA GPU of the host).

    A counter that cannot be read is told of once in the log and left out.
    """

    def __init__(self, powercap: Path = Path("/sys/class/powercap")) -> None:
        self._powercap = powercap
        self._told: set[str] = set()
        self._last: dict[str, int] = {}
        self._turned: dict[str, int] = {}
        self._opened = False

    def joules(self, meters: Collection[str]) -> dict[str, float]:
        """Return the joules of each meter that can be read, since a moment that stays the same while this object lives."""
        found: dict[str, float] = {}
        for meter in meters:
            try:
                found[meter] = self._packages() if meter == "cpu" else self._gpu(int(meter.removeprefix("gpu:")))
            except (OSError, ValueError, LookupError) as exc:
                if meter not in self._told:
                    self._told.add(meter)
                    _log.warning("the energy of %s cannot be read, so it is not counted: %s", meter, exc)
        return found

    def _packages(self) -> float:
        # The parts of a package (cores, memory) have names with two colons; the package counts them.
        folders = sorted(one for one in self._powercap.glob("intel-rapl:*") if one.name.count(":") == 1)
        if not folders:
            raise LookupError(f"{self._powercap} shows no RAPL package (a virtual machine seldom has one)")
        return _MICRO * sum(self._steady(folder) for folder in folders)

    def _steady(self, folder: Path) -> int:
        # A counter begins again at its range, which takes minutes to hours.
        name, now = folder.name, int((folder / "energy_uj").read_text())
        if now < self._last.get(name, 0):
            self._turned[name] = self._turned.get(name, 0) + int((folder / "max_energy_range_uj").read_text()) + 1
        self._last[name] = now
        return self._turned.get(name, 0) + now

    def _gpu(self, number: int) -> float:
        import pynvml  # type: ignore[import-untyped]  # noqa: PLC0415 - only hosts with a GPU need it

        try:
            if not self._opened:
                pynvml.nvmlInit()
                self._opened = True
            return _MILLI * float(pynvml.nvmlDeviceGetTotalEnergyConsumption(pynvml.nvmlDeviceGetHandleByIndex(number)))
        except pynvml.NVMLError as exc:
            raise LookupError(str(exc)) from exc
