"""The metrics of the inference service; `engine` is an id of engines.yaml, so the set is closed."""

from prometheus_client import Counter, Gauge, Histogram

from sluice.telemetry.metrics import MetricRegistry

_START_BUCKETS = (0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 900.0)


class EngineMetrics:
    """What is known of each engine, mapped from the engines' own metrics to one set of names."""

    def __init__(self, registry: MetricRegistry) -> None:
        self.ready: Gauge = registry.gauge(
            "sluice_engine_ready", "1 while the engine answers, else 0", ("engine", "backend")
        )
        self.crash_loop: Gauge = registry.gauge(
            "sluice_engine_crash_loop", "1 while the engine fails again and again", ("engine",)
        )
        self.restarts: Counter = registry.counter(
            "sluice_engine_restarts_total", "Restarts after a failure", ("engine",)
        )
        self.slots: Gauge = registry.gauge("sluice_engine_slots", "Requests that can run at once", ("engine",))
        self.busy: Gauge = registry.gauge("sluice_engine_requests_running", "Requests that run now", ("engine",))
        self.waiting: Gauge = registry.gauge(
            "sluice_engine_requests_waiting", "Requests that wait for a slot", ("engine",)
        )
        self.speed: Gauge = registry.gauge(
            "sluice_engine_generation_tokens_per_second",
            "Speed of one stream when it last generated",
            ("engine",),
        )
        self.prompt_speed: Gauge = registry.gauge(
            "sluice_engine_prompt_tokens_per_second", "Speed at which a prompt was last read", ("engine",)
        )
        self.generated: Counter = registry.counter(
            "sluice_engine_generated_tokens_total", "Tokens generated", ("engine",)
        )
        self.prompted: Counter = registry.counter(
            "sluice_engine_prompt_tokens_total", "Prompt tokens read", ("engine",)
        )
        self.memory: Gauge = registry.gauge(
            "sluice_engine_memory_bytes", "Resident memory of the engine's processes", ("engine",)
        )
        self.kv_used: Gauge = registry.gauge(
            "sluice_engine_kv_cache_usage_ratio", "Share of the KV cache that is taken", ("engine",)
        )
        self.prefix_asked: Counter = registry.counter(
            "sluice_engine_prefix_cache_queries_total", "Prompt tokens looked for in the prefix cache", ("engine",)
        )
        self.prefix_found: Counter = registry.counter(
            "sluice_engine_prefix_cache_hits_total", "Prompt tokens found in the prefix cache", ("engine",)
        )
        self.phase_seconds: Counter = registry.counter(
            "sluice_engine_phase_seconds_total",
            "Seconds as the engine timed them, by phase (time_to_first_token, inter_token, time_per_output_token, end_to_end, queue)",
            ("engine", "phase"),
        )
        self.phase_count: Counter = registry.counter(
            "sluice_engine_phase_observations_total", "How often the engine timed a phase", ("engine", "phase")
        )
        self.mfu: Gauge = registry.gauge(
            "sluice_engine_mfu_ratio", "Share of the dense peak of arithmetic that is used (MFU)", ("engine",)
        )
        self.mbu: Gauge = registry.gauge(
            "sluice_engine_mbu_ratio", "Share of the memory bandwidth that decoding uses (MBU)", ("engine",)
        )
        self.energy: Counter = registry.counter(
            "sluice_engine_energy_joules_total",
            "Energy of the processors and accelerators that the engine uses",
            ("engine",),
        )
        self.adapters: Gauge = registry.gauge("sluice_engine_adapters", "LoRA adapters that it holds", ("engine",))
        self.start_seconds: Histogram = registry.histogram(
            "sluice_engine_start_duration_seconds",
            "Time from an engine's start to its first token",
            ("engine",),
            buckets=_START_BUCKETS,
        )
