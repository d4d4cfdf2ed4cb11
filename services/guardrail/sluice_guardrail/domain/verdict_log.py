"""What of a verdict stands in the log: enough to explain it, and nothing of the text."""

from collections.abc import Callable
from typing import Any, Literal

from sluice.contracts.guard import CheckRequest, InputVerdict, IssueDetail, OutputVerdict, Segment

LoggedVerdicts = Literal["found", "all", "off"]
MAX_LOGGED = 50
"""A line names at most so many findings, and how many there were."""


def is_logged(verdict: InputVerdict | OutputVerdict, wanted: LoggedVerdicts) -> bool:
    """Say whether a verdict is logged: `found` are those that name an issue."""
    return wanted == "all" or (wanted == "found" and bool(verdict.issues))


def line_of(
    body: CheckRequest, verdict: InputVerdict | OutputVerdict, hashed: Callable[[str], str], tenant: str
) -> dict[str, Any]:
    """Return the fields of a verdict's log line.

    Texts are named by their place, role, length in characters and hash, findings by category, kind, action, score and span in characters.
    A caller's own segment ids are left out, since they may be words of his. Only texts with findings are listed.
    """
    segments = body.segments or (Segment(id="", role="", text=body.text or ""),)
    places = {segment.id: place for place, segment in reversed(list(enumerate(segments)))}
    details = verdict.details[:MAX_LOGGED]
    placed = [places.get(detail.segment_id or "", 0) for detail in details]
    return {
        "tenant": tenant,
        "stage": verdict.stage,
        "policy": verdict.policy,
        "policy_hash": verdict.policy_hash,
        "safe": verdict.safe,
        "issues": verdict.issues,
        "texts": [_text(place, segments[place], hashed) for place in sorted(set(placed))],
        "findings": [_finding(place, detail) for place, detail in zip(placed, details, strict=True)],
        "findings_total": len(verdict.details),
    }


def _text(place: int, segment: Segment, hashed: Callable[[str], str]) -> dict[str, Any]:
    return {"text": place, "role": segment.role, "characters": len(segment.text), "hash": hashed(segment.text)}


def _finding(place: int, detail: IssueDetail) -> dict[str, Any]:
    return {
        "text": place,
        "issue": detail.code,
        "detector": detail.detector,
        "category": detail.category,
        "kind": detail.kind,
        "action": detail.action,
        "score": detail.score,
        "span": [detail.start, detail.end],
    }
