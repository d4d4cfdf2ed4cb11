"""What the inference service says of the engines on its host."""

from typing import Literal

from sluice.contracts.base import Reply

EngineState = Literal["starting", "ready", "restarting", "crash_loop", "stopping", "stopped"]


class EngineStatus(Reply):
    """One engine: its state, where it answers, what it can hold and how fast it is.

    `restarts` counts since the service started; `tokens_per_second` is measured from the engine's own counters over
    the last interval in which it generated, None before that; `slots` is how many requests run at once.
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
    tokens_per_second: float | None = None
    prompt_tokens_per_second: float | None = None
    tokens_total: int | None = None
    started_at: float | None = None
    ready_at: float | None = None


class EngineList(Reply):
    """All engines of this host."""

    object: Literal["list"] = "list"
    data: tuple[EngineStatus, ...]
