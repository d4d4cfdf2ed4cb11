"""What engines report of themselves, and the speeds that follow."""

import pytest

from sluice.contracts.engine import EngineStatus
from sluice.telemetry.metrics import MetricRegistry
from sluice_inference.domain.capacity import Host, capacity_of
from sluice_inference.domain.readings import Reading, increase, parse_reading, speeds_between
from sluice_inference.domain.specs import Hardware
from sluice_inference.domain.utilisation import Rates, mbu, mfu
from sluice_inference.measures import learn, show_kv_used
from sluice_inference.metrics import EngineMetrics

LLAMA = """# HELP llamacpp:prompt_tokens_total Number of prompt tokens processed
# TYPE llamacpp:prompt_tokens_total counter
llamacpp:prompt_tokens_total 3420
llamacpp:prompt_seconds_total 25.0251
llamacpp:tokens_predicted_total 328
llamacpp:tokens_predicted_seconds_total 19.0044
llamacpp:predicted_tokens_seconds 16.9
llamacpp:requests_processing 2
llamacpp:requests_deferred 1
"""
VLLM = """vllm:num_requests_running{engine="0",model_name="m"} 3.0
vllm:num_requests_running{engine="1",model_name="m"} 4.0
vllm:num_requests_waiting{engine="0",model_name="m"} 5.0
vllm:generation_tokens_total{engine="0",model_name="m"} 1.2e+03
vllm:request_decode_time_seconds_sum{engine="0",model_name="m"} 12.0
vllm:prompt_tokens_total{engine="0",model_name="m"} 10.0
python_info{implementation="CPython"} 1.0
garbage{ 7
"""


def test_llama_cpp_counters() -> None:
    assert parse_reading(LLAMA) == Reading(2, 1, 328.0, 19.0044, 3420.0, 25.0251)


def test_vllm_counters_add_up_over_engines() -> None:
    assert parse_reading(VLLM) == Reading(7, 5, 1200.0, 12.0, 10.0, None)


def test_what_is_no_number_is_not_read() -> None:
    """A share of nothing is NaN in some engines: it must not stay in our totals for ever."""
    assert parse_reading("vllm:num_requests_running NaN\nvllm:generation_tokens_total +Inf\n") == Reading()


def test_the_cache_of_an_engine_with_several_cores_is_as_full_as_they_are_on_average() -> None:
    cores = "".join(f'vllm:kv_cache_usage_perc{{engine="{core}"}} {share}\n' for core, share in enumerate((0.5, 0.75)))
    assert parse_reading(cores).kv_used == 0.625


@pytest.mark.parametrize("text", ["", "\n\n", "<html>not metrics</html>", "# only a comment"])
def test_what_is_no_exposition_gives_an_empty_reading(text: str) -> None:
    assert parse_reading(text) == Reading()


def test_speed_is_tokens_over_the_time_that_requests_took() -> None:
    before = Reading(generated_tokens=100.0, generated_seconds=10.0, prompt_tokens=50.0, prompt_seconds=1.0)
    after = Reading(generated_tokens=160.0, generated_seconds=12.0, prompt_tokens=50.0, prompt_seconds=1.0)
    assert speeds_between(before, after) == (30.0, None)


@pytest.mark.parametrize(("tokens", "seconds"), [(2.0, 2e-6), (20.0, 2e-5), (2.0, 0.02), (12.0, 0.12)])
def test_answers_of_one_or_two_tokens_have_no_speed(tokens: float, seconds: float) -> None:
    """As llama.cpp counts them: a token for which it books a microsecond, then one a pause of 20 ms later, which is 50 tokens a second."""
    before = Reading(generated_tokens=0.0, generated_seconds=0.0, prompt_tokens=0.0, prompt_seconds=0.0)
    after = Reading(generated_tokens=tokens, generated_seconds=seconds, prompt_tokens=32.0, prompt_seconds=1.0)
    assert speeds_between(before, after) == (None, 32.0)


def test_the_speed_of_vllm_is_that_of_the_pauses_between_tokens() -> None:
    """Five answers of two tokens, 20 ms apart; a sixth is under way, whose seconds are told when it ends."""
    before = Reading(generated_tokens=100.0, generated_seconds=9.0, phases=(("inter_token", 9.0, 90.0),))
    after = Reading(generated_tokens=140.0, generated_seconds=9.1, phases=(("inter_token", 9.7, 125.0),))
    assert speeds_between(before, after).generation == pytest.approx(50.0)


def test_a_restarted_engine_gives_no_speed_and_counts_from_zero() -> None:
    before = Reading(generated_tokens=100.0, generated_seconds=10.0)
    after = Reading(generated_tokens=8.0, generated_seconds=0.5)
    assert speeds_between(before, after) == (None, None)
    assert increase(before.generated_tokens, after.generated_tokens) == 8.0
    assert increase(None, 8.0) == 8.0
    assert increase(8.0, None) == 0.0


def engine(name: str, **changes: object) -> EngineStatus:
    values = {"id": name, "backend": "llamacpp", "state": "ready", "base_url": "http://x/v1", "model": "m", "slots": 4}
    return EngineStatus.model_validate({**values, **changes})


def test_capacity_counts_only_engines_that_are_ready() -> None:
    found = capacity_of(
        [
            engine("a", slots_busy=1, tokens_per_second=30.0, memory_bytes=100),
            engine("b", slots_busy=9, requests_waiting=5, memory_bytes=50),
            engine("c", state="crash_loop", slots_busy=0),
            engine("d", slots=None, tokens_per_second=5.0),
        ],
        Host(cores=2, memory_total=1000, memory_available=500),
    )
    assert (found.engines, found.engines_ready) == (4, 3)
    assert (found.slots, found.slots_busy, found.slots_free) == (8, 5, 3)
    assert (found.requests_waiting, found.tokens_per_second, found.engines_memory_bytes) == (5, 35.0, 150)


def test_capacity_without_a_measurement_says_so() -> None:
    found = capacity_of([engine("a")], Host(1, 1, 1))
    assert found.tokens_per_second is None


NEW = """
vllm:kv_cache_usage_perc{engine="0"} 0.25
vllm:prefix_cache_queries_total{engine="0"} 200.0
vllm:prefix_cache_hits_total{engine="0"} 150.0
vllm:time_to_first_token_seconds_sum{engine="0"} 3.0
vllm:time_to_first_token_seconds_count{engine="0"} 6.0
vllm:inter_token_latency_seconds_sum{engine="0"} 2.0
vllm:inter_token_latency_seconds_count{engine="0"} 100.0
vllm:e2e_request_latency_seconds_sum{engine="0"} 9.0
vllm:e2e_request_latency_seconds_count{engine="0"} 6.0
vllm:lora_requests_info{max_lora="1",running_lora_adapters="old",waiting_lora_adapters=""} 1.7e+09
vllm:lora_requests_info{max_lora="1",running_lora_adapters="a,b",waiting_lora_adapters=""} 1.8e+09
"""
OLD = (
    NEW.replace("kv_cache_usage", "gpu_cache_usage")
    .replace("inter_token_latency", "time_per_output_token")
    .replace("vllm:prefix_cache", "vllm:gpu_prefix_cache")
)


@pytest.mark.parametrize("exposition", [NEW, OLD])
def test_measures_of_vllm_are_found_under_new_and_old_names(exposition: str) -> None:
    reading = parse_reading(exposition)
    assert (reading.kv_used, reading.prefix_asked, reading.prefix_found) == (0.25, 200.0, 150.0)
    assert reading.phases == (("time_to_first_token", 3.0, 6.0), ("inter_token", 2.0, 100.0), ("end_to_end", 9.0, 6.0))
    assert reading.adapters == {"a", "b"}


def test_what_an_engine_timed_becomes_our_own_counters() -> None:
    registry = MetricRegistry()
    metrics = EngineMetrics(registry)
    before = parse_reading(NEW)
    after = parse_reading(
        NEW.replace('seconds_sum{engine="0"} 3.0', 'seconds_sum{engine="0"} 5.0').replace(
            'count{engine="0"} 6.0', 'count{engine="0"} 8.0'
        )
    )
    learn(metrics, "e", before, after)
    text = registry.render()[0].decode()
    assert 'sluice_engine_phase_seconds_total{engine="e",phase="time_to_first_token"} 2.0' in text
    assert 'sluice_engine_phase_observations_total{engine="e",phase="time_to_first_token"} 2.0' in text
    assert 'sluice_engine_prefix_cache_hits_total{engine="e"} 0.0' in text


def test_what_an_engine_does_not_tell_has_no_series() -> None:
    registry = MetricRegistry()
    metrics = EngineMetrics(registry)
    learn(metrics, "llama", Reading(), Reading(generated_tokens=9.0))
    show_kv_used(metrics, "llama", None)
    show_kv_used(metrics, "vllm", 0.0)
    text = registry.render()[0].decode()
    assert 'engine="llama"' not in text
    assert 'sluice_engine_kv_cache_usage_ratio{engine="vllm"} 0.0' in text
    show_kv_used(metrics, "vllm", None)
    assert 'engine="vllm"' not in registry.render()[0].decode(), "nor has one that has stopped"


def test_mfu_and_mbu_of_a_worked_example() -> None:
    # 8 billion parameters in BF16 on an H100: 2,000 answer tokens a second in batches of 20 are 100 steps a second.
    h100 = Hardware(parameters_b=8, weights_gb=16, peak_tflops=989, bandwidth_gb_s=3350, kv_mb_per_request=250)
    rates = Rates(prompt_tokens=8000, generated_tokens=2000, batch=20)
    assert mfu(h100, rates) == pytest.approx(2 * 8e9 * 10_000 / 989e12)
    assert mbu(h100, rates) == pytest.approx((16e9 + 20 * 0.25e9) * 100 / 3350e9)
    assert mbu(h100, Rates(0, 0, 0)) == 0.0
