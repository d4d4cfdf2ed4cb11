"""A check of what a training file holds; the files themselves are the gateway's."""

import asyncio

from fastapi import APIRouter

from sluice.auth import CallerDep
from sluice.blobs import BlobMissing
from sluice.contracts.finetune import CheckCompliance, ComplianceReport, DatasetReport
from sluice.contracts.guard import BatchCheckRequest, InputVerdict, OutputVerdict
from sluice.errors import DeadlineExceeded, DependencyUnavailable, NotFound, Unauthorized, problem_responses
from sluice.ids import new_id
from sluice_finetune.domain import compliance
from sluice_finetune.domain.errors import FileNotFound, UnsuitableFile
from sluice_finetune.domain.validation import validate
from sluice_finetune.wiring import DepsDep

router = APIRouter(prefix="/v1/files", tags=["files"])


@router.get(
    "/{file_id}/validation",
    summary="Check a training file",
    responses=problem_responses(Unauthorized, FileNotFound, UnsuitableFile, BlobMissing, DependencyUnavailable),
)
async def check_file(file_id: str, caller: CallerDep, deps: DepsDep) -> DatasetReport:
    """Read a training file through and return its format, wrong lines, lengths and exact duplicates."""
    copy = new_id("check")
    await deps.files.copy(caller.tenant, file_id, copy)
    try:
        return await asyncio.to_thread(lambda: validate(deps.copies.lines(copy), lambda: None))
    finally:
        await deps.copies.remove(copy)


@router.post(
    "/{file_id}/compliance",
    summary="Check a training file against a guard policy and licences",
    responses=problem_responses(
        Unauthorized, FileNotFound, UnsuitableFile, BlobMissing, NotFound, DependencyUnavailable, DeadlineExceeded
    ),
)
async def check_compliance(file_id: str, body: CheckCompliance, caller: CallerDep, deps: DepsDep) -> ComplianceReport:
    """Have the guardrail look for personal data, secrets and harm in the examples, and compare their licences; nothing is changed."""
    copy = new_id("check")
    await deps.files.copy(caller.tenant, file_id, copy)
    try:
        found = await asyncio.to_thread(lambda: compliance.read(deps.copies.lines(copy), body))
    finally:
        await deps.copies.remove(copy)
    verdicts: list[InputVerdict | OutputVerdict] = []
    for batch in compliance.questions(found.drawn, body.policy):
        reply = await deps.guardrail.check_batch(
            BatchCheckRequest(checks=batch), tenant=caller.tenant, timeout_s=deps.settings.guard_timeout_s
        )
        verdicts += reply.data
    return compliance.report(file_id, body, found, verdicts)
