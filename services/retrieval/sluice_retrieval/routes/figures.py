"""The figure that a question asks for over a table that was found."""

import asyncio
from collections.abc import Sequence
from pathlib import PurePosixPath

from sluice.contracts.retrieval import ContentQuery
from sluice.contracts.tables import Aggregate, Cell, ComputedFigure, RowCitation, TableFilter, TableQuery
from sluice_retrieval.domain.errors import DocumentNotFound, TableQueryInvalid, TableQueryTooLarge
from sluice_retrieval.domain.figures import Figure, figure_in, function_in, statement
from sluice_retrieval.domain.points import Passage
from sluice_retrieval.domain.search import Hit
from sluice_retrieval.domain.tables import Table, tables_in
from sluice_retrieval.wiring import Deps

_TABLES = frozenset({".csv", ".tsv", ".xlsx", ".xlsm", ".docx", ".pptx", ".md", ".markdown", ".html", ".htm", ".xhtml"})
_DOCUMENTS = 2
_WHOLE = ContentQuery(start=0, length=1_000_000)
_MOST_CITED = 20


async def figure_of(deps: Deps, tenant: str, question: str, hits: Sequence[Hit]) -> ComputedFigure | None:
    """Return the figure, if the question plainly asks for one over exactly one table of the best two documents with tables."""
    if function_in(question) is None:
        return None
    passages = {hit.passage.document_id: hit.passage for hit in reversed(hits)}
    best = list(dict.fromkeys(hit.passage.document_id for hit in hits))
    asked = [one for one in best if PurePosixPath(passages[one].source.lower()).suffix in _TABLES][:_DOCUMENTS]
    found: list[ComputedFigure] = []
    for document_id in asked:
        try:
            figure = await _computed(deps, tenant, question, passages[document_id])
        except (DocumentNotFound, TableQueryInvalid, TableQueryTooLarge):
            continue  # deleted in this moment, or too much for a search: the hits answer alone
        if figure is not None:
            found.append(figure)
    return found[0] if len(found) == 1 else None


async def _computed(deps: Deps, tenant: str, question: str, passage: Passage) -> ComputedFigure | None:
    content = await deps.library.content(tenant, passage.store_id, passage.document_id, _WHOLE)
    if content.end < content.length:
        return None
    tables = await asyncio.to_thread(tables_in, content.text)
    figure = figure_in(question, passage.source, tables)
    if figure is None:
        return None
    table = tables[figure.table]
    value, rows = await _asked(deps, table, figure, figure.filters)
    if value is None or not rows:
        return None
    cited = rows
    if figure.function in ("max", "min") and figure.column is not None:
        holds = TableFilter(column=figure.column, type="eq", value=value)
        _, cited = await _asked(deps, table, figure, (*figure.filters, holds))
    return ComputedFigure(
        statement=statement(figure, value, len(rows), passage.source, _holders(figure, table, cited)),
        function=figure.function,
        column=figure.column,
        filters=figure.filters,
        value=value,
        matched=len(rows),
        vector_store_id=passage.store_id,
        document_id=passage.document_id,
        source=passage.source,
        table=figure.table,
        citations=tuple(
            RowCitation(row=at, start=row.start, end=row.end, quote=content.text[row.start : row.end])
            for at in cited[:_MOST_CITED]
            for row in (table.rows[at],)
        ),
    )


def _holders(figure: Figure, table: Table, rows: Sequence[int]) -> tuple[str, ...]:
    if figure.holder is None:
        return ()
    place = list(table.columns).index(figure.holder)
    cells = (table.rows[at].cells[place] for at in rows[:_MOST_CITED])
    return tuple(cell for cell in cells if cell)


async def _asked(
    deps: Deps, table: Table, figure: Figure, filters: tuple[TableFilter, ...]
) -> tuple[Cell, tuple[int, ...]]:
    query = TableQuery(
        table=figure.table,
        filters=filters,
        aggregates=(Aggregate(function=figure.function, column=figure.column),),
    )
    computed = await deps.tables.compute(table, query)
    return (computed.rows[0][0] if computed.rows else None), computed.matched
