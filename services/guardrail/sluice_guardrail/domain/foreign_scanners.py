"""What the scanners of an LLM Guard API, or of Gorget's, say in the words of this service."""

from collections.abc import Mapping

from sluice_guardrail.domain.findings import Finding
from sluice_guardrail.domain.issues import Issue

OTHER = "other"
_ISSUES: dict[str, Issue] = {
    "Anonymize": "pii_detected",
    "Sensitive": "pii_detected",
    "Secrets": "secret_detected",
    "PromptInjection": "prompt_injection",
    "Toxicity": "high_toxicity",
    "Bias": "unsafe_content",
    "MaliciousURLs": "url_detected",
    "URLReachability": "url_detected",
    "FactualConsistency": "potential_hallucination",
    "InvisibleText": "invisible_text",
    "Language": "language_detected",
    "LanguageSame": "language_detected",
    "BanTopics": "topic_detected",
    "BanCode": "code_detected",
    "Code": "code_detected",
    "TokenLimit": "too_long",
    "ReadingTime": "too_long",
}


def issue_of(scanner: str) -> Issue:
    """Return the issue that a scanner's refusal is; those that have no like here are `refused_by_scanner`."""
    return _ISSUES.get(scanner, "refused_by_scanner")


def refused(text: str, risks: Mapping[str, float], *, valid: bool) -> list[Finding]:
    """Return a finding for each scanner that refuses a text, if the server calls it invalid.

    A risk is -1 to 1, and above 0 what lies over the scanner's own threshold; a server that refuses and names no such scanner
    has refused for `other`.
    """
    if valid:
        return []
    named = {name: risk for name, risk in risks.items() if risk > 0} or {OTHER: 1.0}
    return [
        Finding(
            "scanner", "llm_guard", name[:60], 0, len(text), round(min(1.0, risk), 4), f"LLM Guard's {name[:60]} refuses it"
        )
        for name, risk in named.items()
    ]  # fmt: skip
