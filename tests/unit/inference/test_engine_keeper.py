"""The keeper's loop against an engine and an HTTP side that do what the test says."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from sluice.clock import SystemClock
from sluice.telemetry.metrics import MetricRegistry
from sluice_inference.domain.errors import EngineFailed, EngineNotOurs
from sluice_inference.domain.lifecycle import RestartPolicy
from sluice_inference.domain.ports import ProcessEnd
from sluice_inference.domain.readings import Reading
from sluice_inference.domain.specs import EngineSpec, LlamaCppSpec, ManagedSpec, RemoteSpec
from sluice_inference.keeper import EngineKeeper, Pace
from sluice_inference.metrics import EngineMetrics

SPEC = LlamaCppSpec(id="e", backend="llamacpp", model="m", model_package="w", start_timeout_s=0.5)
REMOTE = RemoteSpec(id="r", backend="remote", model="m", base_url="http://elsewhere/v1", start_timeout_s=0.5)


@dataclass
class ScriptedProcess:
    pid: int
    over: asyncio.Event = field(default_factory=asyncio.Event)
    status: int = 0
    grace: float | None = None
    weighed: int = 0

    async def ended(self) -> ProcessEnd:
        await self.over.wait()
        return ProcessEnd(self.status, ("last words",))

    async def end(self, grace_s: float) -> None:
        self.grace = grace_s
        self.over.set()

    def memory_bytes(self) -> int | None:
        self.weighed += 1
        return 10 * self.pid

    def crash(self, status: int = -9) -> None:
        self.status = status
        self.over.set()


@dataclass
class ScriptedWorld:
    """Launcher and probe in one: what is broken is said here."""

    processes: list[ScriptedProcess] = field(default_factory=list)
    cannot_start: EngineFailed | None = None
    down: bool = False
    mute: bool = False
    hung: bool = False
    reading: Reading = field(default_factory=lambda: Reading(busy=0, waiting=0))
    generated: int = 0

    async def start(self, spec: ManagedSpec) -> ScriptedProcess:
        if self.cannot_start:
            raise self.cannot_start
        self.processes.append(ScriptedProcess(100 + len(self.processes)))
        return self.processes[-1]

    def log_lines(self, engine_id: str, most: int = 20) -> tuple[str, ...]:
        return ("last words",)

    def trim_log(self, engine_id: str) -> None:
        pass

    async def is_up(self, spec: EngineSpec) -> None:
        if self.down:
            raise EngineFailed("connection refused")

    async def generate(self, spec: EngineSpec) -> None:
        if self.mute:
            raise EngineFailed("status 500: no token for you")
        self.generated += 1

    async def read(self, spec: EngineSpec) -> Reading:
        if self.hung or self.down:
            raise EngineFailed("did not answer within 10 s")
        return self.reading


@asynccontextmanager
async def kept(
    world: ScriptedWorld, spec: EngineSpec = SPEC, *, crash_limit: int = 3, drain_s: float = 5.0
) -> AsyncIterator[EngineKeeper]:
    keeper = EngineKeeper(
        spec,
        launcher=world,
        probe=world,
        metrics=EngineMetrics(MetricRegistry()),
        clock=SystemClock(),
        policy=RestartPolicy(0.01, 0.3, crash_limit, 60.0, 3),
        pace=Pace(idle_s=0.01, busy_s=0.01, drain_s=drain_s, kill_after_s=0.5),
    )
    loop = asyncio.create_task(keeper.run())
    try:
        yield keeper
    finally:
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)


async def until(check: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not check():
            await asyncio.sleep(0.005)


async def test_ready_only_after_a_token_was_generated() -> None:
    world = ScriptedWorld(down=True)
    async with kept(world) as keeper:
        await asyncio.sleep(0.05)
        assert keeper.status().state == "starting"
        world.down = False
        await until(lambda: keeper.status().state == "ready")
        assert world.generated == 1
        await until(lambda: keeper.status().memory_bytes == 1000)


async def test_memory_is_read_once_in_a_while_and_anew_for_a_new_process() -> None:
    world = ScriptedWorld()
    async with kept(world) as keeper:
        await until(lambda: keeper.status().memory_bytes == 1000)
        await asyncio.sleep(0.1)  # ten looks
        assert world.processes[0].weighed == 1
        world.processes[0].crash()
        await until(lambda: keeper.status().memory_bytes == 1010)


async def test_an_engine_that_cannot_generate_is_not_ready() -> None:
    world = ScriptedWorld(mute=True)
    async with kept(world) as keeper:
        await until(lambda: keeper.status().state == "crash_loop")
        status = keeper.status()
        assert status.reason is not None
        assert "no token" in status.reason
        assert status.log_lines == ("last words",)
        world.mute = False
        await until(lambda: keeper.status().state == "ready")


async def test_a_crash_is_answered_with_a_restart() -> None:
    world = ScriptedWorld()
    async with kept(world) as keeper:
        await until(lambda: keeper.status().state == "ready")
        world.processes[0].crash()
        await until(lambda: len(world.processes) == 2 and keeper.status().state == "ready")
        assert (keeper.status().restarts, keeper.status().pid) == (1, 101)


async def test_a_hang_is_answered_with_a_kill() -> None:
    world = ScriptedWorld()
    async with kept(world) as keeper:
        await until(lambda: keeper.status().state == "ready")
        world.hung = True
        await until(world.processes[0].over.is_set)
        world.hung = False
        await until(lambda: keeper.status().state == "ready" and len(world.processes) == 2)
        assert world.processes[0].grace == 0.0


async def test_what_cannot_be_started_says_why_and_is_tried_at_once_when_asked() -> None:
    world = ScriptedWorld(cannot_start=EngineFailed("The port is taken.", lasting=True))
    async with kept(world) as keeper:
        await until(lambda: keeper.status().state == "crash_loop")
        assert keeper.status().reason == "The port is taken."
        assert keeper.status().retry_at is not None
        world.cannot_start = None
        keeper.restart()
        await until(lambda: keeper.status().state == "ready")


async def test_a_stop_waits_for_running_requests_and_holds_until_a_start() -> None:
    world = ScriptedWorld(reading=Reading(busy=1, waiting=0))
    async with kept(world) as keeper:
        await until(lambda: keeper.status().slots_busy == 1)
        keeper.stop()
        await asyncio.sleep(0.1)
        assert keeper.status().state == "stopping"
        assert not world.processes[0].over.is_set()
        world.reading = Reading(busy=0, waiting=0)
        await until(lambda: keeper.status().state == "stopped")
        assert world.processes[0].grace == 0.5
        await asyncio.sleep(0.05)
        assert len(world.processes) == 1
        keeper.start()
        await until(lambda: keeper.status().state == "ready")
        assert keeper.status().restarts == 0


async def test_draining_has_an_end() -> None:
    world = ScriptedWorld(reading=Reading(busy=1, waiting=0))
    async with kept(world, drain_s=0.1) as keeper:
        await until(lambda: keeper.status().slots_busy == 1)
        keeper.stop()
        await until(lambda: keeper.status().state == "stopped")


async def test_a_start_during_a_stop_brings_it_back() -> None:
    world = ScriptedWorld(reading=Reading(busy=1, waiting=0))
    async with kept(world) as keeper:
        await until(lambda: keeper.status().slots_busy == 1)
        keeper.stop()
        await until(lambda: keeper.status().state == "stopping")
        keeper.start()
        world.reading = Reading(busy=0, waiting=0)
        await until(lambda: keeper.status().state == "ready" and len(world.processes) == 2)


async def test_close_stops_and_returns() -> None:
    world = ScriptedWorld()
    async with kept(world) as keeper:
        await until(lambda: keeper.status().state == "ready")
        await keeper.close()
        assert keeper.status().state == "stopped"
        assert world.processes[0].over.is_set()


async def test_speed_stays_until_the_next_measurement() -> None:
    world = ScriptedWorld(reading=Reading(0, 0, 10.0, 1.0, 5.0, 0.1))
    async with kept(world) as keeper:
        await until(lambda: keeper.status().tokens_total == 10)
        world.reading = Reading(0, 0, 50.0, 2.0, 25.0, 0.2)
        await until(lambda: keeper.status().tokens_per_second == 40.0)
        await asyncio.sleep(0.05)
        assert keeper.status().tokens_per_second == 40.0
        assert keeper.status().prompt_tokens_per_second == pytest.approx(200.0)
        assert keeper.status().tokens_total == 50


async def test_a_remote_engine_is_watched_and_never_in_a_crash_loop() -> None:
    world = ScriptedWorld(down=True)
    async with kept(world, REMOTE) as keeper:
        await until(lambda: keeper.status().state == "restarting")
        await asyncio.sleep(0.4)
        assert keeper.status().state in ("restarting", "starting")
        world.down = False
        await until(lambda: keeper.status().state == "ready")
        assert (keeper.status().pid, keeper.status().restarts, world.processes) == (None, 0, [])
        for refused in (keeper.stop, keeper.start, keeper.restart):
            with pytest.raises(EngineNotOurs):
                refused()
        world.down = True
        await until(lambda: keeper.status().state == "restarting")
