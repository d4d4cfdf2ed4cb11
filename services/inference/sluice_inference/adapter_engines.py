"""Engines of their own for the adapters of llama.cpp, whose server takes adapters only when it starts."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

from sluice.loops import Supervisor
from sluice_inference.adapters.adapter_file import find_gguf_adapter
from sluice_inference.domain.errors import EngineFailed
from sluice_inference.domain.ports import Serving
from sluice_inference.domain.specs import LlamaCppSpec
from sluice_inference.keeper import EngineKeeper

_LOOK_S = 0.05


class AdapterEngines:
    """The engines beside one llama.cpp engine, one for each adapter; each is kept alive as every other engine is.

    `leave_s` is how long one that is unloaded still answers: meanwhile router and gateways hear that it goes.
    """

    def __init__(
        self,
        spec: LlamaCppSpec,
        make: Callable[[LlamaCppSpec], EngineKeeper],
        loops: Supervisor,
        leave_s: float,
    ) -> None:
        self._spec = spec
        self._make = make
        self._loops = loops
        self._leave_s = leave_s
        self._by_name: dict[str, EngineKeeper] = {}
        self._leaving: set[str] = set()

    @property
    def keepers(self) -> dict[str, EngineKeeper]:
        """All of them by the id of the engine."""
        return {keeper.spec.id: keeper for keeper in self._by_name.values()}

    def serving(self) -> Mapping[str, Serving]:
        """Return the adapters that answer, with where, whether they are busy, and when they were last seen at work."""
        found = {}
        for name, keeper in self._by_name.items():
            status = keeper.status()
            if status.state == "ready" and name not in self._leaving:
                url = status.public_url or status.base_url
                found[name] = Serving(url, bool(status.slots_busy or status.requests_waiting), keeper.worked_at)
        return found

    async def load(self, name: str, path: str) -> None:
        """Start the engine of an adapter and return when it is ready; one that runs counts as started.

        Raises:
            AdapterRefused: there is no such file.
            EngineFailed: it does not start.
        """
        if name in self._by_name:
            self._by_name[name].start()  # it may have been stopped, or wait after a failure
        else:
            file = find_gguf_adapter(Path(path))
            taken = {keeper.spec.base_url for keeper in self._by_name.values()}
            specs = (self._spec.with_adapter(name, file, port) for port in self._spec.adapter_ports)
            free = next((spec for spec in specs if spec.base_url not in taken), None)
            if free is None:
                raise EngineFailed(
                    f"All ports of the adapters of engine {self._spec.id} are taken. Try again in a moment."
                )
            keeper = self._make(free)
            self._by_name[name] = keeper
            self._loops.start(_loop(keeper), keeper.run)
        limit = self._spec.start_timeout_s
        try:
            async with asyncio.timeout(limit):
                await self._until_ready(name)
        except TimeoutError as exc:
            await self._end(name)
            raise EngineFailed(f"The engine of the adapter {name!r} was not ready after {limit:g} s.") from exc
        except BaseException:
            await self._end(name)
            raise

    async def unload(self, name: str) -> None:
        """Let the callers hear that an adapter goes, then drain and end its engine."""
        keeper = self._by_name.get(name)
        if keeper is not None:
            self._leaving.add(name)
            if keeper.status().state == "ready":
                await asyncio.sleep(self._leave_s)
            await self._end(name)

    async def leave(self) -> None:
        """Drain and end all of them: the engine beside which they run was stopped."""
        await asyncio.gather(*(self._end(name) for name in list(self._by_name)))

    async def _until_ready(self, name: str) -> None:
        keeper = self._by_name[name]
        while (status := keeper.status()).state != "ready":
            if status.state in ("restarting", "crash_loop") or name in self._leaving:
                why = status.reason or "it was asked to end"
                raise EngineFailed(f"The engine of the adapter {name!r} does not start: {why}")
            await asyncio.sleep(_LOOK_S)

    async def _end(self, name: str) -> None:
        keeper = self._by_name.get(name)
        if keeper is None:
            return
        self._leaving.add(name)
        await keeper.close()
        await self._loops.stop(_loop(keeper))
        # its port is free only now
        self._by_name.pop(name, None)
        self._leaving.discard(name)


def _loop(keeper: EngineKeeper) -> str:
    return f"engine-{keeper.spec.id}"
