"""Queries on the gateway's database: what requests with each version of a prompt came to."""

import math
from collections.abc import Sequence

from sqlalchemy import and_, case, func, select

from sluice.contracts.prompts import PromptObjective, PromptVersionUsage, Spread
from sluice.db import Database, ReadSession
from sluice_gateway.domain.prompt_splits import WRONG_FORM
from sluice_gateway.domain.prompt_tuning import Seen, of_scores, of_sums
from sluice_gateway.domain.usage import Counted
from sluice_gateway.tables import UsageRow

_TIMED = 1000


class PromptUsageStore:
    """Usage by version of a prompt; raises DependencyUnavailable when the database is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def versions(
        self, tenant: str, prompt: str, since: float, until: float, limit: int
    ) -> list[PromptVersionUsage]:
        """Return the sums of each version that was asked with in a period (unix seconds, `until` excluded), newest first."""
        row = UsageRow
        where = (row.tenant == tenant, row.prompt == prompt, row.at >= since, row.at < until)
        added = (
            func.coalesce(func.sum(getattr(row, name)), 0)
            for name in Counted._fields
            if name not in ("requests", "errors")
        )
        wrong = func.sum(case((row.error_code.in_(WRONG_FORM), 1), else_=0))
        query = (
            select(row.prompt_version, wrong, func.count(), func.sum(case((row.status == "ok", 0), else_=1)), *added)
            .where(*where)
            .group_by(row.prompt_version)
            .order_by(row.prompt_version.desc())
            .limit(limit)
        )
        async with self._database.read() as session:
            found = (await session.execute(query)).all()
            return [await _version(session, where, values[:2], _counted(values[2:])) for values in found]

    async def outcomes(
        self, tenant: str, prompt: str, objective: PromptObjective, since: float, until: float
    ) -> tuple[dict[int, Seen], dict[int, Seen]]:
        """Return by version what an objective is measured by (nothing for `feedback`, which lies elsewhere), and the form of answers.

        Answers that came from the cache say nothing of a version and are left out.
        """
        row, ok = UsageRow, UsageRow.status == "ok"
        value = row.cost_usd if objective == "cost" else row.duration_ms
        measured = case((and_(ok, value.is_not(None)), value))
        query = (
            select(
                row.prompt_version,
                func.sum(case((ok, 1), else_=0)),
                func.sum(case((row.error_code.in_(WRONG_FORM), 1), else_=0)),
                func.count(measured),
                func.coalesce(func.sum(measured), 0.0),
                func.coalesce(func.sum(measured * measured), 0.0),
            )
            .where(
                row.tenant == tenant,
                row.prompt == prompt,
                row.at >= since,
                row.at < until,
                row.deployment.is_not(None),
            )
            .group_by(row.prompt_version)
        )
        async with self._database.read() as session:
            found = (await session.execute(query)).all()
        form = {version: of_scores(good + wrong, good) for version, good, wrong, *_ in found}
        if objective == "validity":
            return form, form
        sums = {} if objective == "feedback" else {version: of_sums(*rest) for version, _, _, *rest in found}
        return sums, form


def spread(values: Sequence[float]) -> Spread:
    """Return the nearest-rank percentiles of some values."""
    if not values:
        return Spread()
    inorder = sorted(values)
    return Spread(
        p50=inorder[math.ceil(0.5 * len(inorder)) - 1],
        p95=inorder[math.ceil(0.95 * len(inorder)) - 1],
    )


def _counted(values: Sequence[float]) -> Counted:
    return Counted._make((*map(int, values[:-1]), float(values[-1])))


async def _version(
    session: ReadSession, where: Sequence[object], found: Sequence[int], sums: Counted
) -> PromptVersionUsage:
    row, (version, wrong_form) = UsageRow, found
    last = (
        select(row.duration_ms, row.ttft_ms)
        .where(*where, row.prompt_version == version, row.status == "ok")  # type: ignore[arg-type] # conditions of the caller
        .order_by(row.at.desc())
        .limit(_TIMED)
    )
    times = (await session.execute(last)).all()
    return PromptVersionUsage(
        version=version,
        wrong_form=wrong_form,
        timed=len(times),
        duration_ms=spread([one.duration_ms for one in times]),
        ttft_ms=spread([one.ttft_ms for one in times if one.ttft_ms is not None]),
        cost_per_request_usd=sums.cost_usd / sums.requests if sums.requests else None,
        **sums.shown(),
    )
