"""The typed client of the eval service."""

from dataclasses import dataclass
from urllib.parse import quote, urlencode

from sluice.clients.http import ServiceClient
from sluice.contracts.evals import (
    CreateEval,
    CreateEvalRun,
    DeletedEval,
    EvalItemQuery,
    EvalItemResult,
    EvalReport,
    EvalRun,
    EvalSuite,
)
from sluice.contracts.paging import Page, PageQuery


@dataclass(frozen=True, slots=True)
class EvalClient:
    """Stores suites, starts runs and reads reports; a run goes on when its caller does not."""

    http: ServiceClient

    async def create(self, suite: CreateEval, *, tenant: str) -> EvalSuite:
        """Store a suite; one that equals its newest version is that version, so it may be sent again."""
        # Whole, since an item that expects nothing is not one that does not say what it expects.
        return await self.http.request(
            "POST", "/v1/evals", suite, reply=EvalSuite, tenant=tenant, timeout_s=30.0, idempotent=True, whole=True
        )

    async def suites(self, page: PageQuery | None = None, *, tenant: str) -> Page[EvalSuite]:
        """Return a page of suites."""
        return await self.http.request("GET", f"/v1/evals{_query(page)}", reply=Page[EvalSuite], tenant=tenant)

    async def suite(self, eval_id: str, *, tenant: str) -> EvalSuite:
        """Return one suite without its items."""
        return await self.http.request("GET", _path(eval_id), reply=EvalSuite, tenant=tenant)

    async def delete(self, eval_id: str, *, tenant: str) -> DeletedEval:
        """Delete a suite with its runs."""
        return await self.http.request("DELETE", _path(eval_id), reply=DeletedEval, tenant=tenant)

    async def start(self, eval_id: str, run: CreateEvalRun, *, tenant: str) -> EvalRun:
        """Start a run; it is not sent again on a failure, because each sending is a run."""
        return await self.http.request("POST", f"{_path(eval_id)}/runs", run, reply=EvalRun, tenant=tenant)

    async def runs(self, eval_id: str, page: PageQuery | None = None, *, tenant: str) -> Page[EvalRun]:
        """Return a page of a suite's runs."""
        path = f"{_path(eval_id)}/runs{_query(page)}"
        return await self.http.request("GET", path, reply=Page[EvalRun], tenant=tenant)

    async def run(self, eval_id: str, run_id: str, *, tenant: str) -> EvalRun:
        """Return one run."""
        return await self.http.request("GET", _path(eval_id, run_id), reply=EvalRun, tenant=tenant)

    async def cancel(self, eval_id: str, run_id: str, *, tenant: str) -> EvalRun:
        """End a run now."""
        return await self.http.request("POST", f"{_path(eval_id, run_id)}/cancel", reply=EvalRun, tenant=tenant)

    async def items(
        self, eval_id: str, run_id: str, query: EvalItemQuery | None = None, *, tenant: str
    ) -> Page[EvalItemResult]:
        """Return a page of a run's results."""
        path = f"{_path(eval_id, run_id)}/items{_query(query)}"
        return await self.http.request("GET", path, reply=Page[EvalItemResult], tenant=tenant)

    async def report(self, eval_id: str, run_id: str, *, tenant: str) -> EvalReport:
        """Return what a run says about its model."""
        return await self.http.request("GET", f"{_path(eval_id, run_id)}/report", reply=EvalReport, tenant=tenant)

    async def report_markdown(self, eval_id: str, run_id: str, *, tenant: str) -> str:
        """Return the same as a Markdown page."""
        answer = await self.http.call("GET", f"{_path(eval_id, run_id)}/report?format=md", tenant=tenant)
        return answer.body.decode()


def _path(eval_id: str, run_id: str | None = None) -> str:
    suite = f"/v1/evals/{quote(eval_id, safe='')}"
    return suite if run_id is None else f"{suite}/runs/{quote(run_id, safe='')}"


def _query(query: PageQuery | EvalItemQuery | None) -> str:
    return "?" + urlencode(query.model_dump(exclude_none=True)) if query else ""
