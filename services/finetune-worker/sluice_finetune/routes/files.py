"""A check of what a training file holds; the files themselves are the gateway's."""

import asyncio

from fastapi import APIRouter

from sluice.auth import CallerDep
from sluice.blobs import BlobMissing
from sluice.contracts.finetune import DatasetReport
from sluice.errors import DependencyUnavailable, Unauthorized, problem_responses
from sluice.ids import new_id
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
