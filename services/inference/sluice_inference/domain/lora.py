"""LoRA adapters of one engine: which it holds, and which one makes room for another."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from sluice.contracts.base import Reply


class AdapterConfig(Reply):
    """What an adapter's `adapter_config.json` says that decides whether an engine takes it."""

    peft_type: str = ""
    r: int = 0


class AdapterHead(NamedTuple):
    """What the head of a GGUF file says: what kind of file it is, of which kind of adapter, and for which architecture; empty where it says nothing."""

    kind: str
    adapter: str
    architecture: str


class Adapter(NamedTuple):
    """An adapter that an engine holds; times are unix seconds."""

    path: str
    loaded_at: float
    last_used_at: float | None = None

    @property
    def age_key(self) -> float:
        """When it was last wanted."""
        return self.last_used_at or self.loaded_at


def used(held: Mapping[str, Adapter], at: Mapping[str, float]) -> dict[str, Adapter]:
    """Return the adapters, with when they were last used where it is known (unix seconds)."""
    return {name: adapter._replace(last_used_at=at.get(name, adapter.last_used_at)) for name, adapter in held.items()}


def to_evict(held: Mapping[str, Adapter], most: int, running: Collection[str]) -> str | None:
    """Return the adapter that makes room for one more, the least recently used one that does not run.

    None when there is room. When all run, the least recently used one goes all the same: its requests have reached the engine, which
    lets them end.
    """
    if len(held) < most:
        return None
    idle = {name: adapter for name, adapter in held.items() if name not in running}
    return min(idle or held, key=lambda name: held[name].age_key)


def misfit(config: AdapterConfig, most_rank: int | None) -> str | None:
    """Return why an engine cannot take an adapter, None if it can; `most_rank` None is not known here."""
    if config.peft_type != "LORA":
        return f"it is of the type {config.peft_type or 'unknown'}, and engines take LORA"
    if most_rank is not None and config.r > most_rank:
        return f"its rank is {config.r}, and the engine takes {most_rank} at most: raise max_lora_rank in engines.yaml"
    return None


def gguf_misfit(adapter: AdapterHead, model: AdapterHead) -> str | None:
    """Return why llama.cpp cannot take a file as an adapter of a model, None if it can."""
    if adapter.kind != "adapter" or adapter.adapter != "lora":
        what = (
            f"is a {adapter.kind or 'file of unknown kind'}"
            if adapter.kind != "adapter"
            else f"is of the type {adapter.adapter!r}"
        )
        return f"it {what}, and llama.cpp takes LoRA adapters that convert_lora_to_gguf.py wrote"
    if adapter.architecture != model.architecture:
        return f"it was made for a model of the architecture {adapter.architecture!r}, and the engine's is {model.architecture!r}"
    return None
