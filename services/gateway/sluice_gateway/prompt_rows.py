"""What the stores of prompts share: a prompt's row, and the record of a change of its split."""

from collections.abc import Sequence

from sqlalchemy import select

from sluice.contracts.prompts import PromptShare, PromptSplit, PromptSplitAction
from sluice.db import AsyncSession, ReadSession
from sluice.ids import new_id
from sluice_gateway.domain.errors import PromptNotFound, PromptVersionNotFound
from sluice_gateway.domain.prompt_splits import Reason, change_content
from sluice_gateway.tables import PromptRow, PromptSplitChangeRow


async def named(session: ReadSession | AsyncSession, tenant: str, name: str, *, for_update: bool = False) -> PromptRow:
    """Return the row of a prompt, or raise PromptNotFound."""
    query = select(PromptRow).where(PromptRow.tenant == tenant, PromptRow.name == name)
    row: PromptRow | None = await session.scalar(query.with_for_update() if for_update else query)
    if row is None:
        raise PromptNotFound(f"There is no prompt {name}. GET /v1/prompts lists yours.")
    return row


def no_version(name: str, number: int) -> PromptVersionNotFound:
    """Return the error of a version that is not there."""
    return PromptVersionNotFound(
        f"The prompt {name} has no version {number}. GET /v1/prompts/{name}/versions lists them."
    )


def split_of(row: PromptRow) -> PromptSplit | None:
    """Return the split of a prompt."""
    return None if row.split is None else PromptSplit.model_validate_json(row.split)


def note_change(
    session: AsyncSession,
    row: PromptRow,
    action: PromptSplitAction,
    by: str,
    now: float,
    shares: Sequence[PromptShare] = (),
    reason: Reason | None = None,
) -> None:
    """Record a change of a prompt's split, in the transaction that makes it."""
    content = change_content(action, by, shares, row.default_version, reason)
    session.add(PromptSplitChangeRow(id=new_id("change"), prompt_id=row.id, at=int(now), content=content))


def end_split(
    session: AsyncSession,
    row: PromptRow,
    action: PromptSplitAction,
    by: str,
    now: float,
    reason: Reason | None = None,
) -> None:
    """End a prompt's split, if it has one."""
    if row.split is not None:
        row.split, row.split_began_at = None, None
        note_change(session, row, action, by, now, reason=reason)
