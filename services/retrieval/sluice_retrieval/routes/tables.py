"""The tables of a document, and numbers over them."""

from fastapi import APIRouter

from sluice.auth import CallerDep
from sluice.contracts.retrieval import ContentQuery
from sluice.contracts.tables import RowCitation, TableList, TableQuery, TableReply
from sluice.errors import Unauthorized, problem_responses
from sluice_retrieval.domain.errors import DocumentNotFound, TableNotFound, TableQueryInvalid, TableQueryTooLarge
from sluice_retrieval.domain.tables import Table, describe, tables_in
from sluice_retrieval.wiring import Deps, DepsDep

_MOST_CITED = 100
_WHOLE = ContentQuery(start=0, length=1_000_000)

router = APIRouter(
    prefix="/v1/vector_stores/{store_id}/documents/{document_id}/tables",
    tags=["tables"],
    responses=problem_responses(Unauthorized, DocumentNotFound),
)


@router.get("", summary="List the tables of a document")
async def list_tables(store_id: str, document_id: str, caller: CallerDep, deps: DepsDep) -> TableList:
    """Return each table's columns with their kinds and bounds, and a sentence that describes it."""
    _, found = await _tables(deps, caller.tenant, store_id, document_id)
    return TableList(data=tuple(describe(index, table) for index, table in enumerate(found)))


@router.post(
    "/query",
    summary="Compute over a table of a document",
    responses=problem_responses(TableNotFound, TableQueryInvalid, TableQueryTooLarge),
)
async def query_table(
    store_id: str, document_id: str, body: TableQuery, caller: CallerDep, deps: DepsDep
) -> TableReply:
    """Return rows that match, or numbers over them; the rows that the answer rests on are cited."""
    text, found = await _tables(deps, caller.tenant, store_id, document_id)
    if body.table >= len(found):
        raise TableNotFound(f"Document {document_id!r} has {len(found)} tables; they are counted from 0.")
    table = found[body.table]
    computed = await deps.tables.compute(table, body)
    cited = (
        RowCitation(row=at, start=row.start, end=row.end, quote=text[row.start : row.end])
        for at in computed.matched[:_MOST_CITED]
        for row in (table.rows[at],)
    )
    return TableReply(
        document_id=document_id,
        table=body.table,
        columns=computed.columns,
        rows=computed.rows,
        matched=len(computed.matched),
        citations=tuple(cited),
    )


async def _tables(deps: Deps, tenant: str, store_id: str, document_id: str) -> tuple[str, list[Table]]:
    parts: list[str] = []
    part = _WHOLE
    while True:
        content = await deps.library.content(tenant, store_id, document_id, part)
        parts.append(content.text)
        if content.end >= content.length or not content.text:
            break
        part = _WHOLE.model_copy(update={"start": content.end})
    text = "".join(parts)
    return text, tables_in(text)
