"""What the request path is built from: its collaborators and its limits."""

from dataclasses import dataclass, field
from typing import Literal

from sluice.clock import Clock
from sluice.telemetry.tracing import Tracing
from sluice_gateway.cache.levels import AnswerCache
from sluice_gateway.cache.similar import SimilarQuestions
from sluice_gateway.cache.tuning import Thresholds
from sluice_gateway.dataplane.background import Background
from sluice_gateway.domain.compaction import Compactions
from sluice_gateway.domain.ports import (
    Credentials,
    Guard,
    KeyRing,
    LeaseStore,
    Names,
    Prompts,
    Retrieval,
    Router,
    UsageSink,
)
from sluice_gateway.domain.responses import ResponsesKept
from sluice_gateway.domain.transcripts import NoTranscripts, TranscriptSink
from sluice_gateway.metrics import GatewayMetrics


@dataclass(frozen=True, slots=True)
class Options:
    """Limits and habits of the request path; sizes are bytes, times seconds."""

    max_body_bytes: int = 10 * 1024 * 1024
    max_form_bytes: int = 64 * 1024 * 1024
    max_reply_bytes: int = 64 * 1024 * 1024
    trace_ratio_direct: float = 0.01
    trace_ratio: float = 1.0
    cooldown_s: float = 2.0
    max_cooldown_s: float = 30.0
    breaker_failures: int = 3
    trial_s: float = 2.0
    trial_grace_s: float = 1.0
    retries: int = 0
    retry_base_s: float = 0.1
    retry_cap_s: float = 2.0
    retry_patience_s: float = 10.0
    retry_share: float = 0.2
    stage_timeout_s: float = 5.0
    watch_disconnect_after_s: float = 0.2
    client_patience_s: float = 60.0
    given_up_s: float = 60.0
    given_up_answers: int = 100
    # Together with the word that is being written they stay within 160 characters, 40 tokens: so much of a stream waits at most.
    guard_window_chars: int = 144
    guard_holdback_chars: int = 96
    upstream_idle_s: float = 30.0
    upstream_max_idle: int = 256
    max_bytes_per_token: int = 128
    limit_queue: int = 100
    limit_queue_wait_s: float = 10.0
    unpriced_models: Literal["refuse", "allow"] = "refuse"
    private_links: bool = False
    link_hosts: frozenset[str] = frozenset()
    user_types: frozenset[str] = frozenset()
    browsers: bool = False


@dataclass(frozen=True, slots=True)
class DataPlaneDeps:
    """The collaborators of the request path, opened and closed by the service's wiring."""

    keys: KeyRing
    usage: UsageSink
    leases: LeaseStore
    credentials: Credentials
    guard: Guard
    router: Router
    retrieval: Retrieval
    tracing: Tracing
    metrics: GatewayMetrics
    clock: Clock
    options: Options = Options()
    transcripts: TranscriptSink = field(default_factory=NoTranscripts)
    names: Names = field(kw_only=True)
    answers: AnswerCache = field(default_factory=AnswerCache)
    similar: SimilarQuestions | None = None
    thresholds: Thresholds | None = None
    prompts: Prompts | None = None
    responses: ResponsesKept | None = None
    compactions: Compactions | None = None
    background: Background | None = None
