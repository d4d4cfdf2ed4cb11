"""Figures for autoscalers, from replicas that report like vLLM and llama.cpp."""

import pytest
from pydantic import ValidationError

from sluice.errors import DependencyUnavailable
from sluice_inference.domain.errors import ScalingGroupNotFound
from sluice_inference.domain.scaling import Sample, kept, quantile, sample_of, signals
from sluice_inference.domain.specs import EnginesFile, ScalingGroup
from sluice_inference.scaling import Scaling

_GROUP = ScalingGroup(name="vllm", metrics_url="http://pods:8000/metrics", window_s=60, every_s=5)


def _vllm(
    *,
    running: int = 0,
    waiting: int = 0,
    kv: float = 0.0,
    within: tuple[int, int, int] = (0, 0, 0),
    seconds: float = 0.0,
) -> str:
    """vLLM's metrics after requests whose first token came within 0.1, 1 and any number of seconds (cumulative)."""
    base = "vllm:time_to_first_token_seconds"
    labels = 'engine="0",model_name="m"'
    return "\n".join(
        (
            f"vllm:num_requests_running{{{labels}}} {running}.0",
            f"vllm:num_requests_waiting{{{labels}}} {waiting}.0",
            f"vllm:kv_cache_usage_perc{{{labels}}} {kv}",
            f'{base}_bucket{{{labels},le="0.1"}} {within[0]}.0',
            f'{base}_bucket{{{labels},le="1.0"}} {within[1]}.0',
            f'{base}_bucket{{{labels},le="+Inf"}} {within[2]}.0',
            f"{base}_sum{{{labels}}} {seconds}",
            f"{base}_count{{{labels}}} {within[2]}.0",
        )
    )


class _Clock:
    def __init__(self) -> None:
        self.at = 1000.0

    def now(self) -> float:
        return 1_800_000_000.0 + self.at

    def monotonic(self) -> float:
        return self.at


class _Replicas:
    """What each address says next."""

    def __init__(self, **texts: str | None) -> None:
        self.texts: dict[str, str | None] = dict(texts)
        self.asked = 0

    async def read(self, url: str) -> dict[str, str | None]:
        assert url == _GROUP.metrics_url
        self.asked += 1
        return dict(self.texts)


def _scaling(replicas: _Replicas, clock: _Clock) -> Scaling:
    return Scaling({"vllm": _GROUP}, replicas, clock)


async def test_load_is_summed_and_the_cache_averaged() -> None:
    replicas = _Replicas(a=_vllm(running=3, waiting=5, kv=0.9), b=_vllm(running=1, waiting=2, kv=0.3))
    found = await _scaling(replicas, _Clock()).signals("vllm")
    assert (found.replicas, found.replicas_read) == (2, 2)
    assert (found.requests, found.requests_running, found.requests_waiting, found.waiting_per_replica) == (
        11,
        4,
        7,
        3.5,
    )
    assert (found.kv_cache_usage, found.kv_cache_usage_max) == (pytest.approx(0.6), 0.9)
    assert (found.ttft_s, found.ttft_p95_s) == (None, None)  # nothing to compare with yet


async def test_the_first_tokens_of_the_last_minute_count() -> None:
    clock = _Clock()
    replicas = _Replicas(a=_vllm(within=(900, 1000, 1000), seconds=100.0), b=_vllm())
    scaling = _scaling(replicas, clock)
    await scaling.signals("vllm")
    clock.at += 30
    # since then: 8 within 0.1 s, 12 more within 1 s, taking 10 s together, over both
    replicas.texts = {
        "a": _vllm(within=(908, 1016, 1016), seconds=108.0),
        "b": _vllm(within=(0, 4, 4), seconds=2.0),
    }
    found = await scaling.signals("vllm")
    assert found.ttft_s == pytest.approx(0.5)
    # the 19th of 20: 11/12 of the way from 0.1 to 1.0
    assert found.ttft_p95_s == pytest.approx(0.1 + 0.9 * 11 / 12)


async def test_who_got_no_request_had_no_slow_one() -> None:
    clock = _Clock()
    replicas = _Replicas(a=_vllm(within=(5, 9, 9), seconds=4.0))
    scaling = _scaling(replicas, clock)
    await scaling.signals("vllm")
    clock.at += 30
    found = await scaling.signals("vllm")
    assert (found.ttft_s, found.ttft_p95_s) == (0.0, 0.0)


async def test_an_engine_that_was_started_anew_counts_from_zero() -> None:
    clock = _Clock()
    replicas = _Replicas(a=_vllm(within=(500, 500, 500), seconds=10.0))
    scaling = _scaling(replicas, clock)
    await scaling.signals("vllm")
    clock.at += 30
    replicas.texts["a"] = _vllm(within=(0, 2, 2), seconds=1.0)
    assert (await scaling.signals("vllm")).ttft_s == pytest.approx(0.5)


async def test_replicas_are_asked_at_most_once_in_a_while() -> None:
    clock = _Clock()
    replicas = _Replicas(a=_vllm(waiting=1))
    scaling = _scaling(replicas, clock)
    first = await scaling.signals("vllm")
    clock.at += 4.9
    assert await scaling.signals("vllm") is first
    clock.at += 0.2
    replicas.texts["a"] = _vllm(waiting=2)
    assert (await scaling.signals("vllm")).requests_waiting == 2
    assert replicas.asked == 2


async def test_a_late_replica_is_left_out_and_not_forgotten() -> None:
    clock = _Clock()
    replicas = _Replicas(a=_vllm(running=1), b=_vllm(within=(0, 10, 10), seconds=5.0))
    scaling = _scaling(replicas, clock)
    await scaling.signals("vllm")
    clock.at += 10
    replicas.texts["b"] = None
    found = await scaling.signals("vllm")
    assert (found.replicas, found.replicas_read) == (2, 1)
    clock.at += 10
    replicas.texts["b"] = _vllm(within=(0, 12, 12), seconds=6.0)
    assert (await scaling.signals("vllm")).ttft_s == pytest.approx(0.5)


async def test_nobody_there_is_an_error_and_not_a_zero() -> None:
    scaling = _scaling(_Replicas(a=None, b=None), _Clock())
    with pytest.raises(DependencyUnavailable, match="None of the 2 replicas"):
        await scaling.signals("vllm")
    with pytest.raises(ScalingGroupNotFound, match=r"no scaling group 'other'\. It has: vllm"):
        await scaling.signals("other")


async def test_llama_cpp_tells_its_queue_and_nothing_of_first_tokens() -> None:
    text = "llamacpp:requests_processing 2\nllamacpp:requests_deferred 3\n"
    clock = _Clock()
    scaling = _scaling(_Replicas(a=text), clock)
    await scaling.signals("vllm")
    clock.at += 30
    found = await scaling.signals("vllm")
    assert (found.requests, found.kv_cache_usage, found.ttft_s, found.ttft_p95_s) == (5, None, None, None)


def test_samples_reach_back_over_the_window_and_no_further() -> None:
    samples = [sample_of("", at) for at in (0.0, 100.0, 130.0, 155.0, 190.0)]
    assert [one.at for one in kept(samples, 60)] == [130.0, 155.0, 190.0]
    assert [one.at for one in kept([*samples, sample_of("", 600.0)], 60)] == [600.0]


def test_quantiles_of_buckets() -> None:
    assert quantile([], 0.95) == 0.0
    assert quantile([(1.0, 0.0), (float("inf"), 0.0)], 0.5) == 0.0
    assert quantile([(1.0, 10.0), (2.0, 20.0), (float("inf"), 20.0)], 0.75) == pytest.approx(1.5)
    assert quantile([(1.0, 10.0), (float("inf"), 20.0)], 0.95) == 1.0


def test_broken_lines_are_passed_over() -> None:
    text = 'vllm:time_to_first_token_seconds_bucket{le="x"} 3\nvllm:time_to_first_token_seconds_bucket{le="1"} y\n'
    assert sample_of(text, 1.0) == Sample(1.0, sample_of("", 1.0).reading, {})
    assert signals("g", [[sample_of(text, 1.0)]], replicas=1, window_s=60, now=2.0).ttft_s is None


@pytest.mark.parametrize("url", ["https://pods/metrics", "http://user@pods/metrics", "http://pods/m?x=1", "pods:8000"])
def test_addresses_that_cannot_be_asked_one_by_one_are_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        ScalingGroup(name="g", metrics_url=url)


def test_two_groups_of_one_name_are_refused() -> None:
    engine = {"id": "far", "backend": "remote", "model": "m", "base_url": "http://127.0.0.1:9/v1"}
    with pytest.raises(ValidationError, match="two scaling groups"):
        EnginesFile.model_validate({"engines": [engine], "scaling": [_GROUP.model_dump(), _GROUP.model_dump()]})
