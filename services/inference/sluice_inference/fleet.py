"""LoRA adapters over all engines of the host: an adapter is on every engine that serves its model, or on none."""

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path

from sluice.contracts.engine import AdapterList, AdapterLoad, AdapterStatus
from sluice_inference.adapters.adapter_file import AdapterFile, find_gguf_adapter, read_adapter, read_gguf_adapter
from sluice_inference.adapters.processes import model_file
from sluice_inference.domain.errors import AdapterNotFound, AdapterRefused, EngineFailed
from sluice_inference.domain.lora import Adapter, gguf_misfit, misfit
from sluice_inference.domain.specs import EngineSpec, LlamaCppSpec, VllmSpec
from sluice_inference.keeper import EngineKeeper

_log = logging.getLogger(__name__)


class Fleet:
    """Loads and unloads adapters, one change at a time, and keeps what the engines hold in a file."""

    def __init__(self, keepers: Mapping[str, EngineKeeper], file: AdapterFile) -> None:
        self._keepers = keepers
        self._file = file
        self._one_at_a_time = asyncio.Lock()

    def listed(self) -> AdapterList:
        """Return all adapters."""
        names = sorted({name for keeper in self._keepers.values() for name in keeper.adapters})
        return AdapterList(data=tuple(self._status(name) for name in names))

    async def load(self, wanted: AdapterLoad) -> AdapterStatus:
        """Load an adapter on every engine that serves its model; if one of them refuses, all hold what they held before.

        Raises:
            AdapterRefused: no engine of this host takes it, or its name is taken.
            EngineFailed: an engine is not ready, or did not load it.
        """
        async with self._one_at_a_time:
            keepers = self._engines_for(wanted)
            for keeper in keepers:
                why_not = await asyncio.to_thread(_misfit, keeper.spec, Path(wanted.path))
                if why_not is not None:
                    raise AdapterRefused(f"The adapter {wanted.name!r} cannot be loaded: {why_not}.")
            before = [dict(keeper.adapters) for keeper in keepers]
            outcomes = await asyncio.gather(
                *(keeper.load_adapter(wanted.name, wanted.path) for keeper in keepers), return_exceptions=True
            )
            failed = next((one for one in outcomes if isinstance(one, BaseException)), None)
            if failed is not None:
                await asyncio.gather(*(_put_back(*one) for one in zip(keepers, before, strict=True)))
            await self._keep()
            if failed is not None:
                raise failed
            evicted = tuple(sorted({one for one in outcomes if isinstance(one, str)}))
            return self._status(wanted.name).model_copy(update={"evicted": evicted})

    async def unload(self, name: str) -> None:
        """Unload an adapter everywhere.

        Raises:
            AdapterNotFound: no engine holds it.
            EngineFailed: an engine could not be asked; it still holds it.
        """
        async with self._one_at_a_time:
            keepers = [keeper for keeper in self._keepers.values() if name in keeper.adapters]
            if not keepers:
                raise AdapterNotFound(f"No engine of this host holds an adapter {name!r}. GET /v1/adapters lists them.")
            outcomes = await asyncio.gather(*(one.unload_adapter(name) for one in keepers), return_exceptions=True)
            await self._keep()
            for outcome in outcomes:
                if isinstance(outcome, BaseException):
                    raise outcome

    def _engines_for(self, wanted: AdapterLoad) -> list[EngineKeeper]:
        serving = [keeper for keeper in self._keepers.values() if keeper.spec.model == wanted.model]
        taking = [keeper for keeper in serving if keeper.spec.adapters]
        if not taking:
            why = "takes adapters: set lora: true of an engine in engines.yaml" if serving else "serves it"
            raise AdapterRefused(f"The adapter's model is {wanted.model!r}, and no engine of this host {why}.")
        if any(keeper.spec.model == wanted.name for keeper in self._keepers.values()):
            raise AdapterRefused(f"{wanted.name!r} is the name of a model already. Give the adapter another one.")
        return taking

    async def _keep(self) -> None:
        held = {engine: dict(keeper.adapters) for engine, keeper in self._keepers.items() if keeper.adapters}
        await asyncio.to_thread(self._file.write, held)

    def _status(self, name: str) -> AdapterStatus:
        holding = {engine: keeper for engine, keeper in self._keepers.items() if name in keeper.adapters}
        adapters = [keeper.adapters[name] for keeper in holding.values()]
        return AdapterStatus(
            name=name,
            model=next(iter(holding.values())).spec.model,
            path=adapters[0].path,
            engines=tuple(sorted(holding)),
            loaded_at=min(adapter.loaded_at for adapter in adapters),
            last_used_at=max((one.last_used_at for one in adapters if one.last_used_at is not None), default=None),
        )


async def _put_back(keeper: EngineKeeper, before: Mapping[str, Adapter]) -> None:
    try:
        for name, adapter in list(keeper.adapters.items()):
            if name not in before or before[name].path != adapter.path:
                await keeper.unload_adapter(name)
        for name, adapter in before.items():
            if name not in keeper.adapters:
                await keeper.load_adapter(name, adapter.path)
    except (EngineFailed, AdapterRefused) as exc:
        _log.error("engine %s does not take back what it held: %s", keeper.spec.id, exc.detail)


def _misfit(spec: EngineSpec, path: Path) -> str | None:
    if isinstance(spec, VllmSpec):
        return misfit(read_adapter(path), spec.max_lora_rank)
    if isinstance(spec, LlamaCppSpec):
        return gguf_misfit(read_gguf_adapter(find_gguf_adapter(path)), read_gguf_adapter(model_file(spec)))
    return None  # another host's folder cannot be looked into from here
