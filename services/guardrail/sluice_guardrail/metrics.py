"""The guardrail's metrics; no label holds text, a user or a policy's name."""

from collections.abc import Iterable
from typing import Literal, get_args

from sluice.contracts.guard import InputVerdict, OutputVerdict, ToolRisk
from sluice.telemetry.metrics import MetricRegistry, closed

Result = Literal["passed", "changed", "blocked"]
DetectorRun = tuple[str, Literal["ok", "late", "broken"], float]
"""A detector, what became of its turn at one text, and the seconds that it took."""

_SCANNERS = frozenset(
    {
        "invisible_text",
        "urls",
        "language",
        "topics",
        "code",
        "length",
        "harm",
        "groundedness",
        "harm_model",
        "injection_model",
        "groundedness_model",
        "second_opinion",
        "llm_guard",
    }
)
_CODES = frozenset(
    {
        "pii_detected",
        "secret_detected",
        "prompt_injection",
        "unsafe_content",
        "content_filtered",
        "high_toxicity",
        "potential_hallucination",
        "disputed_answer",
        "invisible_text",
        "url_detected",
        "language_detected",
        "topic_detected",
        "code_detected",
        "too_long",
        "refused_by_scanner",
        "check_failed",
        "review_required",
        "risky_tool",
        "tool_approval_required",
        "tool_blocked",
    }
)
_DETECTORS = frozenset(
    {
        "prompt_injection",
        "output_filter",
        "review",
        "tool_risk",
        *_SCANNERS,
    }
)
_RUNS = frozenset({"personal_data", "names", "prompt_injection", "output_filter", *_SCANNERS})
_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1.0, 5.0)


class GuardMetrics:
    """Counts checks, findings and reloads; `kinds` are the detectors of personal data."""

    def __init__(self, registry: MetricRegistry, kinds: Iterable[str]) -> None:
        self._detectors = _DETECTORS.union(kinds)
        self._checks = registry.counter("sluice_guard_checks_total", "Checks made", ("stage", "result"))
        self._findings = registry.counter(
            "sluice_guard_findings_total", "Findings by detector and what was done", ("stage", "detector", "action")
        )
        self._issues = registry.counter("sluice_guard_issues_total", "Verdicts that name an issue", ("stage", "issue"))
        self._seconds = registry.histogram(
            "sluice_guard_check_seconds", "Time of one check without HTTP", ("stage",), buckets=_BUCKETS
        )
        self._characters = registry.counter("sluice_guard_characters_total", "Characters checked", ("stage",))
        self._reloads = registry.counter(
            "sluice_guard_policy_reloads_total", "Changes of guard.yaml taken or refused", ("result",)
        )
        self.approved = registry.counter(
            "sluice_guard_approved_calls_total", "Tool calls confirmed by people", ("risk",)
        )
        for risk in get_args(ToolRisk):
            self.approved.labels(risk)
        self._runs = registry.counter(
            "sluice_guard_detector_runs_total",
            "Turns of detectors at one text: ok, or late or broken and thus without a verdict",
            ("detector", "outcome"),
        )
        self._detector_seconds = registry.counter(
            "sluice_guard_detector_seconds_total", "Seconds that detectors took", ("detector",)
        )
        for result in ("taken", "refused"):
            self._reloads.labels(result)

    def checked(
        self, verdict: InputVerdict | OutputVerdict, characters: int, seconds: float, runs: Iterable[DetectorRun]
    ) -> None:
        """Note one verdict, and what became of each detector on the way to it."""
        stage = verdict.stage
        self._checks.labels(stage, _result(verdict)).inc()
        self._seconds.labels(stage).observe(seconds)
        self._characters.labels(stage).inc(characters)
        for code in verdict.issues:
            self._issues.labels(stage, closed(code, _CODES)).inc()
        for detail in verdict.details:
            self._findings.labels(stage, closed(detail.detector, self._detectors), detail.action).inc()
        for name, outcome, took in runs:
            detector = closed(name, _RUNS)
            self._runs.labels(detector, outcome).inc()
            self._detector_seconds.labels(detector).inc(took)

    def reloaded(self, result: Literal["taken", "refused"]) -> None:
        """Note that guard.yaml changed."""
        self._reloads.labels(result).inc()


def _result(verdict: InputVerdict | OutputVerdict) -> Result:
    if not verdict.safe:
        return "blocked"
    return "changed" if any(detail.action in ("redact", "mask") for detail in verdict.details) else "passed"
