"""Splits of requests between versions of a prompt: which version somebody has, and how a change is kept."""

import json
from collections.abc import Sequence
from typing import NamedTuple

from sluice.contracts.prompts import PromptEvidence, PromptShare, PromptSplit, PromptSplitAction, PromptSplitChange
from sluice.splitting import assigned

WRONG_FORM = (
    "structured_output_invalid",
    "structured_output_incomplete",
    "structured_output_repaired",
    "tool_call_invalid",
)
"""Error codes of answers that had not the form which was demanded of them."""
_COLUMNS = {"id", "at", "object"}


def drawn(prompt: str, split: PromptSplit, subject: str) -> int | None:
    """Return the version of a prompt that a subject has in a split, always the same one; None without a weight above 0."""
    found = assigned(f"prompt {prompt}", ((str(share.version), share.weight) for share in split.shares), subject)
    return None if found is None else int(found)


def same_versions(one: PromptSplit, other: PromptSplit) -> bool:
    """Tell whether both splits compare the same versions."""
    return {share.version for share in one.shares} == {share.version for share in other.shares}


class Reason(NamedTuple):
    """Why a split's tuning changed it."""

    why: str
    evidence: tuple[PromptEvidence, ...]


def change_content(
    action: PromptSplitAction,
    by: str,
    shares: Sequence[PromptShare],
    default_version: int,
    reason: Reason | None = None,
) -> str:
    """Return what is stored of a change besides its columns."""
    change = PromptSplitChange(
        id="",
        at=0,
        by=by,
        action=action,
        shares=tuple(shares),
        default_version=default_version,
        why=reason.why if reason else "",
        evidence=reason.evidence if reason else (),
    )
    return change.model_dump_json(exclude=_COLUMNS)


def change_of(change_id: str, at: int, content: str) -> PromptSplitChange:
    """Return a change as it was stored."""
    return PromptSplitChange.model_validate({**json.loads(content), "id": change_id, "at": at})
