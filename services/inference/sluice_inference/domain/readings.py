"""An engine's own counters, and the speeds that follow from two looks at them."""

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

_FEWEST_TOKENS = 16
_LEAST_S_A_TOKEN = 1e-5
Phase = Literal["time_to_first_token", "inter_token", "time_per_output_token", "end_to_end", "queue"]
_LORA = "vllm:lora_requests_info"
_RUNNING = re.compile(r'running_lora_adapters="([^"]*)"')
_SAMPLE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{[^}]*\})?\s+([-+0-9.eEinfaN]+)\s*$")


@dataclass(frozen=True, slots=True)
class Reading:
    """What an engine reported at one moment; None where it does not report.

    Tokens and seconds are totals since the engine's start; `*_seconds` add up the time of all requests. `kv_used` is the share of
    the KV cache that is taken, `prefix_*` count tokens that were looked for in the prefix cache and found there. `phases` has, by name,
    the seconds and the count of what was timed. `adapters` are those with requests now.
    """

    busy: int | None = None
    waiting: int | None = None
    generated_tokens: float | None = None
    generated_seconds: float | None = None
    prompt_tokens: float | None = None
    prompt_seconds: float | None = None
    kv_used: float | None = None
    prefix_asked: float | None = None
    prefix_found: float | None = None
    phases: tuple[tuple[Phase, float, float], ...] = ()
    adapters: frozenset[str] = frozenset()


class Speeds(NamedTuple):
    """Tokens a second of one stream, None if nothing was generated (or read) between two readings."""

    generation: float | None
    prompt: float | None


class Names(NamedTuple):
    """How one kind of engine calls its metrics; several names are tried in order."""

    busy: tuple[str, ...]
    waiting: tuple[str, ...]
    generated_tokens: tuple[str, ...]
    generated_seconds: tuple[str, ...]
    prompt_tokens: tuple[str, ...]
    prompt_seconds: tuple[str, ...]
    kv_used: tuple[str, ...]
    prefix_asked: tuple[str, ...]
    prefix_found: tuple[str, ...]


LLAMACPP = Names(
    busy=("llamacpp:requests_processing",),
    waiting=("llamacpp:requests_deferred",),
    generated_tokens=("llamacpp:tokens_predicted_total",),
    generated_seconds=("llamacpp:tokens_predicted_seconds_total",),
    prompt_tokens=("llamacpp:prompt_tokens_total",),
    prompt_seconds=("llamacpp:prompt_seconds_total",),
    kv_used=("llamacpp:kv_cache_usage_ratio",),
    prefix_asked=(),
    prefix_found=(),
)
VLLM = Names(
    busy=("vllm:num_requests_running",),
    waiting=("vllm:num_requests_waiting",),
    generated_tokens=("vllm:generation_tokens_total", "vllm:generation_tokens"),
    generated_seconds=("vllm:request_decode_time_seconds_sum",),
    prompt_tokens=("vllm:prompt_tokens_total", "vllm:prompt_tokens"),
    prompt_seconds=("vllm:request_prefill_time_seconds_sum",),
    kv_used=("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"),
    prefix_asked=(
        "vllm:prefix_cache_queries_total",
        "vllm:prefix_cache_queries",
        "vllm:gpu_prefix_cache_queries_total",
    ),
    prefix_found=("vllm:prefix_cache_hits_total", "vllm:prefix_cache_hits", "vllm:gpu_prefix_cache_hits_total"),
)
# the histograms of vLLM, newer names first
PHASES: dict[Phase, tuple[str, ...]] = {
    "time_to_first_token": ("vllm:time_to_first_token_seconds",),
    "inter_token": ("vllm:inter_token_latency_seconds", "vllm:time_per_output_token_seconds"),
    "time_per_output_token": ("vllm:request_time_per_output_token_seconds",),
    "end_to_end": ("vllm:e2e_request_latency_seconds",),
    "queue": ("vllm:request_queue_time_seconds",),
}


def parse_reading(exposition: str) -> Reading:
    """Read a Prometheus text exposition of llama.cpp or vLLM; series of one name are added up, shares averaged.

    What is no finite number counts as not told.
    """
    totals: dict[str, float] = {}
    series: Counter[str] = Counter()
    running: tuple[float, str] = (0.0, "")
    for line in exposition.splitlines():
        match = None if line.startswith("#") else _SAMPLE.match(line)
        if match is None:
            continue
        try:
            value = float(match.group(2))
        except ValueError:
            continue
        if not math.isfinite(value):
            continue
        series[match.group(1)] += 1
        totals[match.group(1)] = totals.get(match.group(1), 0.0) + value
        if match.group(1) == _LORA and (named := _RUNNING.search(line)) is not None:
            running = max(running, (value, named.group(1)))  # the value says since when it holds
    names = VLLM if any(name.startswith("vllm:") for name in totals) else LLAMACPP

    def first(candidates: tuple[str, ...]) -> float | None:
        return next((totals[name] for name in candidates if name in totals), None)

    return Reading(
        busy=_whole(first(names.busy)),
        waiting=_whole(first(names.waiting)),
        generated_tokens=first(names.generated_tokens),
        generated_seconds=first(names.generated_seconds),
        prompt_tokens=first(names.prompt_tokens),
        prompt_seconds=first(names.prompt_seconds),
        kv_used=next((totals[name] / series[name] for name in names.kv_used if name in totals), None),
        prefix_asked=first(names.prefix_asked),
        prefix_found=first(names.prefix_found),
        phases=tuple(_timed(totals)),
        adapters=frozenset(name for name in running[1].split(",") if name),
    )


def _timed(totals: Mapping[str, float]) -> Iterator[tuple[Phase, float, float]]:
    for phase, names in PHASES.items():
        found = next((name for name in names if f"{name}_count" in totals), None)
        if found is not None:
            yield phase, totals.get(f"{found}_sum", 0.0), totals[f"{found}_count"]


def speeds_between(before: Reading, after: Reading) -> Speeds:
    """Return how fast one stream was between two readings: tokens over the seconds that requests spent on them.

    Engines add a request to their totals when it ends, so tokens over wall-clock time would jump; the time that
    requests themselves took does not. Counters that went back (a restarted engine) count as no measurement.

    The first token of an answer comes out of reading the prompt and takes no time of its own. vLLM counts the pauses between tokens, which leave it
    out; llama.cpp counts it among the tokens and tells not how many answers there were, so that a few short ones would look twice as fast as they
    are: fewer than 16 tokens are no measurement there, nor are answers of one token, for which it books a microsecond.
    """
    pauses = _pauses(before, after)
    if pauses is not None:
        generation = _rate(*pauses)
    else:
        generation = _rate(
            before.generated_tokens, after.generated_tokens, before.generated_seconds, after.generated_seconds
        )
        few = increase(before.generated_tokens, after.generated_tokens) < _FEWEST_TOKENS
        if generation is not None and (few or generation * _LEAST_S_A_TOKEN > 1):
            generation = None
    return Speeds(
        generation,
        _rate(before.prompt_tokens, after.prompt_tokens, before.prompt_seconds, after.prompt_seconds),
    )


def _pauses(before: Reading, after: Reading) -> tuple[float, float, float, float] | None:
    # pauses before and after, seconds before and after
    then, now = ({name: (seconds, count) for name, seconds, count in one.phases} for one in (before, after))
    if "inter_token" not in then or "inter_token" not in now:
        return None
    return then["inter_token"][1], now["inter_token"][1], then["inter_token"][0], now["inter_token"][0]


def increase(before: float | None, after: float | None) -> float:
    """Return how much a counter grew; a counter that went back started again from zero."""
    if after is None:
        return 0.0
    if before is None or after < before:
        return after
    return after - before


def _rate(
    tokens_before: float | None, tokens_after: float | None, seconds_before: float | None, seconds_after: float | None
) -> float | None:
    if tokens_before is None or tokens_after is None or seconds_before is None or seconds_after is None:
        return None
    tokens, seconds = tokens_after - tokens_before, seconds_after - seconds_before
    return tokens / seconds if tokens > 0 and seconds > 0 else None


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)
