"""What the inference service says of the engines on its host."""

from typing import Annotated, Literal

from pydantic import StringConstraints

from sluice.contracts.base import Reply, Request

EngineState = Literal["starting", "ready", "restarting", "crash_loop", "stopping", "stopped"]


class EngineStatus(Reply):
    """One engine: its state, where it answers, what it can hold and how fast it is.

    `restarts` counts since the service started; `tokens_per_second` is the speed of one stream, measured from the engine's
    own counters over the last interval in which it generated, None before that; `slots` is how many requests run
    at once; `kv_cache_usage` is the share of the KV cache that is taken (0 to 1), None for engines that do not tell; `joules_per_token` is the energy of the processors and accelerators of `energy_of`, for each token of an answer, when it last
    generated, None if they cannot be read; `context_tokens` is what each of them may hold. `base_url` is how this host reaches the engine. For an engine that
    failed, `reason` says why, `retry_at` (unix seconds) when it is tried again, and `log_lines` holds its last words.
    A `remote` engine that cannot be reached counts as `restarting`: it is asked again and again. `adapters` are those that it
    holds now, None for an engine that takes none; `adapter_urls` says where those answer that have an engine of their own (llama.cpp).
    `public_url` is how router and gateway reach it, where that is not `base_url`.
    """

    id: str
    object: Literal["engine"] = "engine"
    backend: Literal["llamacpp", "vllm", "remote"]
    state: EngineState
    reason: str | None = None
    base_url: str
    model: str
    pid: int | None = None
    restarts: int = 0
    context_tokens: int | None = None
    slots: int | None = None
    slots_busy: int | None = None
    requests_waiting: int | None = None
    kv_cache_usage: float | None = None
    tokens_per_second: float | None = None
    prompt_tokens_per_second: float | None = None
    tokens_total: int | None = None
    joules_per_token: float | None = None
    started_at: float | None = None
    ready_at: float | None = None
    retry_at: float | None = None
    memory_bytes: int | None = None
    log_lines: tuple[str, ...] = ()
    adapters: tuple[str, ...] | None = None
    adapter_urls: dict[str, str] = {}
    public_url: str | None = None


class EngineList(Reply):
    """All engines of this host."""

    object: Literal["list"] = "list"
    data: tuple[EngineStatus, ...]


class EngineLog(Reply):
    """The last lines of the log that an engine of this host writes, oldest first: warnings and errors, no prompts."""

    object: Literal["engine.log"] = "engine.log"
    id: str
    lines: tuple[str, ...]


AdapterName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}$")]


class AdapterLoad(Request):
    """A LoRA adapter to load on every engine of this host that serves `model`; callers name it as a model of its own.

    `path` is where the engines run: for vLLM a folder in PEFT's layout (`adapter_config.json`, `adapter_model.safetensors`), for llama.cpp a GGUF file
    or a folder with one, so that a folder with both serves both.
    """

    name: AdapterName
    model: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    path: Annotated[str, StringConstraints(min_length=1, max_length=4096)]


class AdapterStatus(Reply):
    """One adapter: the model that it belongs to, the engines that hold it, and when it was loaded and last used (unix seconds).

    `last_used_at` is as the engines' own counters show, looked at every few seconds. `evicted` are those that had to make room for it.
    """

    object: Literal["adapter"] = "adapter"
    name: str
    model: str
    path: str
    engines: tuple[str, ...]
    loaded_at: float
    last_used_at: float | None = None
    evicted: tuple[str, ...] = ()


class AdapterList(Reply):
    """All adapters of this host."""

    object: Literal["list"] = "list"
    data: tuple[AdapterStatus, ...]


class Capacity(Reply):
    """What this host can take on now, summed over the engines that are ready.

    `tokens_per_second` adds up, for each ready engine, the measured speed of one stream; None if none was measured.
    """

    object: Literal["capacity"] = "capacity"
    engines: int
    engines_ready: int
    slots: int
    slots_busy: int
    slots_free: int
    requests_waiting: int
    tokens_per_second: float | None = None
    cores: int
    memory_total_bytes: int
    memory_available_bytes: int
    engines_memory_bytes: int


class ScalingSignals(Reply):
    """What an autoscaler needs to know of replicas that serve one model, in one reading of all of them.

    `replicas` are the addresses that the name resolves to, `replicas_read` those that answered; the other figures are of these. `requests` are those that
    run or wait. KV figures are shares of the cache. `ttft_s` and `ttft_p95_s` are the mean and the 95th percentile of the time to the first
    token of requests that got theirs within about `window_s` seconds, 0 if there was none. A figure is None while it is not known: when the engines do not
    report it, or when there is no earlier reading yet to compare with.
    """

    object: Literal["scaling_signals"] = "scaling_signals"
    name: str
    replicas: int
    replicas_read: int
    requests: int
    requests_running: int
    requests_waiting: int
    waiting_per_replica: float
    kv_cache_usage: float | None = None
    kv_cache_usage_max: float | None = None
    ttft_s: float | None = None
    ttft_p95_s: float | None = None
    window_s: float
    at: float
