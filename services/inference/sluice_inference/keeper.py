"""Keeps one engine alive: starts it, proves that it works, watches it, restarts it, and drains it before a stop."""

import asyncio
import logging
from collections.abc import Collection, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Literal

from sluice.clock import Clock
from sluice.contracts.engine import EngineStatus
from sluice_inference.domain import lifecycle
from sluice_inference.domain.errors import AdapterRefused, EngineFailed, EngineNotOurs
from sluice_inference.domain.lifecycle import Life, RestartPolicy
from sluice_inference.domain.lora import Adapter, to_evict, used
from sluice_inference.domain.ports import Energy, EngineProcess, Launcher, OwnEngines, Probe
from sluice_inference.domain.readings import Reading, Speeds, increase, speeds_between
from sluice_inference.domain.specs import EngineSpec, RemoteSpec
from sluice_inference.domain.utilisation import Rates
from sluice_inference.measures import EnergyBook, learn, learn_use, show_kv_used
from sluice_inference.metrics import EngineMetrics

_log = logging.getLogger(__name__)
_ASK_AGAIN_S = 0.15
_DRAIN_LOOK_S = 0.2
_REMOTE_LONGEST_PAUSE_S = 10.0


@dataclass(frozen=True, slots=True)
class Pace:
    """How often a keeper looks, and how long it waits for an end; seconds."""

    idle_s: float = 5.0
    busy_s: float = 1.0
    drain_s: float = 10.0
    kill_after_s: float = 5.0
    memory_s: float = 30.0


class EngineKeeper:
    """One engine and everything that happens to it; `run` is the loop, the other methods only say what is wanted.

    `own` are the engines of its adapters where it cannot take them itself (llama.cpp).
    """

    def __init__(
        self,
        spec: EngineSpec,
        *,
        launcher: Launcher,
        probe: Probe,
        metrics: EngineMetrics,
        clock: Clock,
        policy: RestartPolicy,
        pace: Pace,
        adapters: Mapping[str, Adapter] | None = None,
        own: OwnEngines | None = None,
        energy: Energy | None = None,
    ) -> None:
        self.spec = spec
        self._launcher = launcher
        self._probe = probe
        self._metrics = metrics
        self._clock = clock
        # An engine that we do not run cannot be in a crash loop of ours: it is away until it answers again.
        self._policy = (
            replace(policy, crash_limit=1_000_000, longest_pause_s=min(policy.longest_pause_s, _REMOTE_LONGEST_PAUSE_S))
            if isinstance(spec, RemoteSpec)
            else policy
        )
        self._pace = pace
        self._wanted: Literal["running", "stopped"] = "running"
        self._changed = asyncio.Event()
        self._at_rest = asyncio.Event()
        self._life = Life()
        self._process: EngineProcess | None = None
        self._reading = Reading()
        self._read_at: float | None = None
        self._speeds = Speeds(None, None)
        self._generated = 0.0
        self._memory: int | None = None
        self._weighed_at = float("-inf")
        self._adapters: dict[str, Adapter] = dict(adapters or {})
        self._own = own
        self._energy = EnergyBook(spec, energy, metrics)
        self._worked_at: float | None = None
        self._loading = asyncio.Lock()
        self._publish()

    # What others may ask.

    def status(self) -> EngineStatus:
        """Return what is known of the engine now; nothing is asked of it."""
        life, spec = self._life, self.spec
        failed = life.state in ("restarting", "crash_loop")
        remote = isinstance(spec, RemoteSpec)
        own = None if self._own is None else self._own.serving()
        return EngineStatus(
            id=spec.id,
            backend=spec.backend,
            state=life.state,
            reason=life.reason,
            base_url=spec.base_url,
            model=spec.model,
            pid=self._process.pid if self._process else None,
            restarts=0 if remote else life.restarts,
            context_tokens=spec.context_tokens,
            slots=spec.slots,
            slots_busy=self._reading.busy,
            requests_waiting=self._reading.waiting,
            kv_cache_usage=self._reading.kv_used,
            tokens_per_second=self._speeds.generation,
            prompt_tokens_per_second=self._speeds.prompt,
            tokens_total=int(self._generated),
            joules_per_token=self._energy.joules_per_token,
            started_at=life.started_at,
            ready_at=life.ready_at,
            retry_at=life.retry_at,
            memory_bytes=self._memory,
            log_lines=self._launcher.log_lines(spec.id) if failed and not remote else (),
            adapters=tuple(sorted(self._adapters if own is None else own)) if spec.adapters else None,
            adapter_urls={name: one.base_url for name, one in (own or {}).items()},
            public_url=spec.public_url or None,
        )

    def start(self) -> None:
        """Want it running; a pause before the next try ends now."""
        self._refuse_remote("started")
        self._wanted = "running"
        if self._process is None:
            self._life = lifecycle.asked_to_restart(self._life)
            self._changed.set()

    def stop(self) -> None:
        """Want it stopped, after what it is doing."""
        self._refuse_remote("stopped")
        self._end_it("stopped")

    def restart(self) -> None:
        """Want it stopped and started again; earlier failures are forgotten."""
        self._refuse_remote("restarted")
        self._end_it("running")

    @property
    def adapters(self) -> Mapping[str, Adapter]:
        """The adapters that it holds, and gets again after a restart."""
        return self._adapters

    @property
    def worked_at(self) -> float | None:
        """When it was last seen at work (unix seconds), or to have worked since the look before."""
        return self._worked_at

    async def load_adapter(self, name: str, path: str) -> str | None:
        """Load an adapter, and return the name of the one that had to make room for it.

        Raises:
            EngineFailed: the engine is not ready or refused it; what made room is gone (`Fleet` puts it back).
        """
        async with self._loading:
            if self._life.state != "ready":
                raise EngineFailed(f"Engine {self.spec.id} is {self._life.state}. Try again when it is ready.")
            held = self._adapters.get(name)
            if held is not None and held.path != path:
                await self._drop_adapter(name)
            self._note_use()
            running = self._running_adapters()
            evicted = None if name in self._adapters else to_evict(self._adapters, self.spec.adapters, running)
            if evicted is not None:
                await self._drop_adapter(evicted)
            await self._load(name, path)
            self._adapters[name] = Adapter(path, self._clock.now())
            self._publish()
            return evicted

    async def unload_adapter(self, name: str) -> None:
        """Unload an adapter, if the engine holds it.

        Raises:
            EngineFailed: it could not be asked.
        """
        async with self._loading:
            if name in self._adapters:
                await self._drop_adapter(name)

    async def _load(self, name: str, path: str) -> None:
        if self._own is not None:
            await self._own.load(name, path)
        else:
            await self._probe.load_adapter(self.spec, name, path)

    async def _drop_adapter(self, name: str) -> None:
        if self._own is not None:
            await self._own.unload(name)
        elif self._life.state == "ready":
            await self._probe.unload_adapter(self.spec, name)
        del self._adapters[name]
        self._publish()

    async def close(self) -> None:
        """Stop it, drained, and return when it is gone."""
        self._end_it("stopped")
        limit = self._pace.drain_s + 2 * self._pace.kill_after_s + 5.0
        try:
            if self._own is not None:
                await self._own.leave()
            async with asyncio.timeout(limit):
                await self._at_rest.wait()
        except TimeoutError:
            _log.error("engine %s did not stop within %.0f s", self.spec.id, limit)

    # The loop.

    async def run(self) -> None:
        """Keep the engine as it is wanted until cancelled."""
        while True:
            if self._wanted == "stopped":
                if self._own is not None:
                    await self._own.leave()
                self._note(lifecycle.stopped(self._life))
                self._at_rest.set()
                await self._changed.wait()
                self._changed.clear()
                continue
            self._at_rest.clear()
            self._changed.clear()
            try:
                await self._live()
            except EngineFailed as exc:
                await self._pause_after(exc)

    async def _live(self) -> None:
        self._note(lifecycle.started(self._life, self._clock.now()))
        process = None if isinstance(self.spec, RemoteSpec) else await self._launcher.start(self.spec)
        self._process = process
        grace = 0.0
        try:
            await self._race(self._serve(), process)
            # We come here only when something else is wanted.
            self._note(lifecycle.stopping(self._life))
            _log.info("engine %s is stopping", self.spec.id)
            if process is not None:
                await self._race(self._drain(), process)
            grace = self._pace.kill_after_s
        except EngineFailed:
            # It may have ended because we want it to.
            if not self._changed.is_set():
                raise
        finally:
            if process is not None:
                await process.end(grace)
            self._forget_process()
        if self._wanted == "running":
            self._note(lifecycle.asked_to_restart(self._life))

    async def _race(self, work: Coroutine[Any, Any, None], process: EngineProcess | None) -> None:
        # Runs `work` until it ends, another state is wanted, or the process ends (which raises).
        tasks: list[asyncio.Task[Any]] = [asyncio.create_task(work)]
        if self._life.state != "stopping":
            tasks.append(asyncio.create_task(self._changed.wait()))
        ended = asyncio.create_task(process.ended()) if process is not None else None
        try:
            await asyncio.wait([*tasks, *([ended] if ended else [])], return_when=asyncio.FIRST_COMPLETED)
            if ended is not None and ended.done():
                raise EngineFailed(ended.result().sentence())
            if tasks[0].done():
                tasks[0].result()
        finally:
            everything = [*tasks, *([ended] if ended else [])]
            for task in everything:
                task.cancel()
            await asyncio.gather(*everything, return_exceptions=True)

    async def _serve(self) -> None:
        began = self._clock.monotonic()
        await self._until_ready()
        if self._own is None:
            await self._load_again()
        self._note(lifecycle.became_ready(self._life, self._clock.now()))
        took = self._clock.monotonic() - began
        self._metrics.start_seconds.labels(self.spec.id).observe(took)
        _log.info("engine %s is ready after %.1f s", self.spec.id, took)
        if self._own is None:
            await self._watch()
        else:  # adapters with engines of their own need not keep it from answering
            await asyncio.gather(self._watch(), self._load_again())

    async def _watch(self) -> None:
        while True:
            await self._look()
            working = bool(self._reading.busy or self._reading.waiting or self._life.missed_probes)
            await asyncio.sleep(self._pace.busy_s if working else self._pace.idle_s)

    async def _load_again(self) -> None:
        # An engine that was started anew has forgotten its adapters; one that cannot be loaded any more is given up.
        async with self._loading:
            for name, adapter in list(self._adapters.items()):
                try:
                    await self._load(name, adapter.path)
                except (EngineFailed, AdapterRefused) as exc:
                    del self._adapters[name]
                    _log.error("engine %s does not take its adapter %s back: %s", self.spec.id, name, exc.detail)

    async def _until_ready(self) -> None:
        last = "it never answered"
        try:
            async with asyncio.timeout(self.spec.start_timeout_s):
                while True:
                    try:
                        await self._probe.is_up(self.spec)
                        break
                    except EngineFailed as exc:
                        if isinstance(self.spec, RemoteSpec):
                            raise
                        last = exc.detail
                    await asyncio.sleep(_ASK_AGAIN_S)
                if not isinstance(self.spec, RemoteSpec) or self.spec.generate_check:
                    await self._probe.generate(self.spec)
        except TimeoutError as exc:
            raise EngineFailed(
                f"Engine {self.spec.id} was not ready after {self.spec.start_timeout_s:g} s ({last}). "
                "If it only needs longer, raise start_timeout_s in engines.yaml."
            ) from exc

    async def _look(self) -> None:
        try:
            reading = await self._probe.read(self.spec)
        except EngineFailed as exc:
            self._life = lifecycle.probe_missed(self._life, exc.detail)
            if lifecycle.is_hung(self._life, self._policy):
                raise
            return
        self._life = lifecycle.probe_answered(self._life)
        generated = self._generated
        self._learn(reading)
        await self._energy.note(self._generated - generated, busy=bool(reading.busy))
        await self._weigh()
        self._launcher.trim_log(self.spec.id)
        self._publish()

    async def _weigh(self) -> None:
        # Its children are found by going through all processes of the machine, which costs more than all else here.
        now = self._clock.monotonic()
        if self._process is not None and now - self._weighed_at >= self._pace.memory_s:
            self._weighed_at = now
            self._memory = await asyncio.to_thread(self._process.memory_bytes)

    def _learn(self, reading: Reading) -> None:
        before, self._reading = self._reading, reading
        self._note_use()
        speeds = speeds_between(before, reading)
        self._speeds = Speeds(speeds.generation or self._speeds.generation, speeds.prompt or self._speeds.prompt)
        generated = increase(before.generated_tokens, reading.generated_tokens)
        self._generated += generated
        self._metrics.generated.labels(self.spec.id).inc(generated)
        prompted = increase(before.prompt_tokens, reading.prompt_tokens)
        self._metrics.prompted.labels(self.spec.id).inc(prompted)
        learn(self._metrics, self.spec.id, before, reading)
        if reading.busy or generated or prompted:
            self._worked_at = self._clock.now()
        now, then = self._clock.monotonic(), self._read_at
        self._read_at = now
        if then is not None and now > then:
            batch = ((before.busy or 0) + (reading.busy or 0)) / 2 or float(bool(generated))
            learn_use(self._metrics, self.spec, Rates(prompted / (now - then), generated / (now - then), batch))

    async def _drain(self) -> None:
        deadline = self._clock.monotonic() + self._pace.drain_s
        while self._clock.monotonic() < deadline:
            try:
                reading = await self._probe.read(self.spec)
            except EngineFailed:
                return
            self._learn(reading)
            if not reading.busy and not reading.waiting:
                return
            await asyncio.sleep(_DRAIN_LOOK_S)
        _log.warning("engine %s still had work after %.0f s of draining", self.spec.id, self._pace.drain_s)

    async def _pause_after(self, error: EngineFailed) -> None:
        now = self._clock.now()
        self._note(lifecycle.failed(self._life, error.detail, now, self._policy, lasting=error.lasting))
        self._metrics.restarts.labels(self.spec.id).inc()
        pause = (self._life.retry_at or now) - now
        _log.warning("engine %s: %s Trying again in %.1f s.", self.spec.id, error.detail, pause)
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._changed.wait()
                if self._wanted == "running":
                    self._life = lifecycle.asked_to_restart(self._life)

    # Small parts.

    def _running_adapters(self) -> Collection[str]:
        if self._own is None:
            return self._reading.adapters
        return {name for name, one in self._own.serving().items() if one.busy}

    def _note_use(self) -> None:
        if self._own is None:
            at = dict.fromkeys(self._reading.adapters, self._clock.now())
        else:
            at = {name: one.used_at for name, one in self._own.serving().items() if one.used_at is not None}
        self._adapters = used(self._adapters, at)

    def _end_it(self, wanted: Literal["running", "stopped"]) -> None:
        self._wanted = wanted
        self._changed.set()

    def log(self, lines: int) -> tuple[str, ...]:
        """Return the last lines of the engine's log.

        Raises:
            EngineNotOurs: something else runs it, and keeps its log.
        """
        if isinstance(self.spec, RemoteSpec):
            raise EngineNotOurs(
                f"Engine {self.spec.id} is run by something else at {self.spec.base_url}, which keeps its log."
            )
        return self._launcher.log_lines(self.spec.id, lines)

    def _refuse_remote(self, verb: str) -> None:
        if isinstance(self.spec, RemoteSpec):
            raise EngineNotOurs(
                f"Engine {self.spec.id} is run by something else at {self.spec.base_url}; it cannot be {verb} from here."
            )

    def _forget_process(self) -> None:
        self._process = None
        self._memory = None
        self._weighed_at = float("-inf")
        self._reading = Reading()
        self._read_at = None

    def _note(self, life: Life) -> None:
        self._life = life
        self._publish()

    def _publish(self) -> None:
        engine, metrics, reading = self.spec.id, self._metrics, self._reading
        metrics.ready.labels(engine, self.spec.backend).set(self._life.state == "ready")
        metrics.crash_loop.labels(engine).set(self._life.state == "crash_loop")
        metrics.slots.labels(engine).set(self.spec.slots or 0)
        metrics.busy.labels(engine).set(reading.busy or 0)
        metrics.waiting.labels(engine).set(reading.waiting or 0)
        metrics.speed.labels(engine).set(self._speeds.generation or 0)
        metrics.prompt_speed.labels(engine).set(self._speeds.prompt or 0)
        metrics.memory.labels(engine).set(self._memory or 0)
        show_kv_used(metrics, engine, reading.kv_used)
        metrics.adapters.labels(engine).set(len(self._adapters))
