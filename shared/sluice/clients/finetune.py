"""The typed client of the finetune-worker's API."""

from dataclasses import dataclass
from urllib.parse import quote, urlencode

from sluice.clients.http import ServiceClient
from sluice.contracts.finetune import (
    DatasetReport,
    FineTuningJob,
    JobCreate,
    JobEvent,
)
from sluice.contracts.paging import Page, PageQuery


@dataclass(frozen=True, slots=True)
class FinetuneClient:
    """Checks training files, and makes and follows jobs. The files themselves are the gateway's."""

    http: ServiceClient

    async def validation(self, file_id: str, *, tenant: str, timeout_s: float = 120.0) -> DatasetReport:
        """Read a training file through and return what it holds."""
        path = f"/v1/files/{quote(file_id, safe='')}/validation"
        return await self.http.request("GET", path, reply=DatasetReport, tenant=tenant, timeout_s=timeout_s)

    async def create_job(self, job: JobCreate, *, tenant: str) -> FineTuningJob:
        """Make a job."""
        return await self.http.request("POST", "/v1/fine_tuning/jobs", job, reply=FineTuningJob, tenant=tenant)

    async def jobs(self, page: PageQuery, *, tenant: str) -> Page[FineTuningJob]:
        """Return one page of jobs."""
        path = f"/v1/fine_tuning/jobs?{_query(page)}"
        return await self.http.request("GET", path, reply=Page[FineTuningJob], tenant=tenant)

    async def job(self, job_id: str, *, tenant: str) -> FineTuningJob:
        """Return a job."""
        path = f"/v1/fine_tuning/jobs/{quote(job_id, safe='')}"
        return await self.http.request("GET", path, reply=FineTuningJob, tenant=tenant)

    async def cancel(self, job_id: str, *, tenant: str) -> FineTuningJob:
        """End a job."""
        path = f"/v1/fine_tuning/jobs/{quote(job_id, safe='')}/cancel"
        return await self.http.request("POST", path, reply=FineTuningJob, tenant=tenant)

    async def events(self, job_id: str, page: PageQuery, *, tenant: str) -> Page[JobEvent]:
        """Return one page of a job's events."""
        path = f"/v1/fine_tuning/jobs/{quote(job_id, safe='')}/events?{_query(page)}"
        return await self.http.request("GET", path, reply=Page[JobEvent], tenant=tenant)


def _query(page: PageQuery) -> str:
    return urlencode(page.model_dump(exclude_none=True))
