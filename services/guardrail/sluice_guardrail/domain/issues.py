"""The issues that a verdict can name, in the order in which it names them, and what comes along with an answer."""

from typing import Literal, get_args

Issue = Literal[
    "pii_detected",
    "secret_detected",
    "prompt_injection",
    "unsafe_content",
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
    "risky_tool",
    "tool_approval_required",
    "tool_blocked",
    "check_failed",
    "content_filtered",
    "review_required",
]
ISSUES: tuple[str, ...] = get_args(Issue)

SYSTEM_ROLES = frozenset({"system", "developer"})
UNANSWERED_ROLES = SYSTEM_ROLES | {"context", "question"}
"""What comes along with an answer so that it can be judged, and is not judged itself."""
