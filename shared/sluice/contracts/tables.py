"""Questions to the tables of a document: filtered, grouped and counted without SQL."""

from typing import Annotated, Literal, Self

from pydantic import Field, StrictBool, StrictFloat, StrictInt, model_validator

from sluice.contracts.base import Reply, Request

ColumnKind = Literal["number", "text", "date", "boolean"]
Cell = str | float | int | bool | None
Value = StrictBool | StrictInt | StrictFloat | Annotated[str, Field(max_length=1000)]
Name = Annotated[str, Field(min_length=1, max_length=500)]
TableFunction = Literal["count", "count_distinct", "sum", "average", "min", "max", "median"]


class TableFilter(Request):
    """One comparison of a column's value; empty cells match `is_empty` only. `contains` looks for a text, in any case."""

    column: Name
    type: Literal["eq", "ne", "gt", "gte", "lt", "lte", "in", "nin", "contains", "is_empty", "not_empty"]
    value: Value | Annotated[tuple[Value, ...], Field(min_length=1, max_length=100)] | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.type in ("is_empty", "not_empty"):
            if self.value is not None:
                raise ValueError(f"`{self.type}` takes no value")
        elif self.value is None or (self.type in ("in", "nin")) != isinstance(self.value, tuple):
            raise ValueError(f"`{self.type}` takes {'a list' if self.type in ('in', 'nin') else 'one value'}")
        return self


class Aggregate(Request):
    """A number over the rows of each group; `count` without a column counts rows."""

    function: TableFunction
    column: Name | None = None

    @model_validator(mode="after")
    def _has_column(self) -> Self:
        if self.column is None and self.function != "count":
            raise ValueError(f"`{self.function}` needs a column")
        return self


class TableOrder(Request):
    """Sort by a column of the result."""

    column: Name
    descending: bool = False


class TableQuery(Request):
    """Ask a table of a document: rows that match, or numbers over them."""

    table: Annotated[int, Field(ge=0, description="which table of the document, from 0")] = 0
    filters: Annotated[tuple[TableFilter, ...], Field(max_length=20, description="all must hold")] = ()
    group_by: Annotated[tuple[Name, ...], Field(max_length=5)] = ()
    aggregates: Annotated[tuple[Aggregate, ...], Field(max_length=10)] = ()
    columns: Annotated[tuple[Name, ...], Field(max_length=100, description="which to give; all if left out")] = ()
    order_by: Annotated[tuple[TableOrder, ...], Field(max_length=5)] = ()
    limit: Annotated[int, Field(ge=1, le=1000)] = 100

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if self.group_by and not self.aggregates:
            raise ValueError("`group_by` needs `aggregates`")
        if self.columns and self.aggregates:
            raise ValueError("`columns` gives rows and `aggregates` numbers: use one of them")
        return self


class TableColumn(Reply):
    """A column and what its cells hold; `least` and `most` are of numbers and dates."""

    name: str
    kind: ColumnKind
    empty: int
    distinct: int
    least: Cell = None
    most: Cell = None
    examples: tuple[str, ...] = ()


class Table(Reply):
    """A table of a document: its place, its columns, and a sentence that describes it."""

    index: int
    name: str
    rows: int
    start: int
    end: int
    columns: tuple[TableColumn, ...]
    description: str


class TableList(Reply):
    """The tables of a document, in its order."""

    object: Literal["list"] = "list"
    data: tuple[Table, ...]


class RowCitation(Reply):
    """A row that an answer rests on: characters of the document's text, and the text there."""

    row: int
    start: int
    end: int
    quote: str


class TableReply(Reply):
    """The result, and the rows of the table that it was computed from: `matched` in all, the first hundred of them cited."""

    object: Literal["table.result"] = "table.result"
    document_id: str
    table: int
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    matched: int
    citations: tuple[RowCitation, ...]


class ComputedFigure(Reply):
    """A figure that a question plainly asked for, computed over a table that was found: what, over which rows, and from where.

    `citations` are rows that it rests on, of `matched` in all: for the highest and lowest those that hold it, else the first
    twenty.
    """

    statement: Annotated[str, Field(description="the figure in a sentence, as it stands in a context block")]
    function: TableFunction
    column: str | None = None
    filters: tuple[TableFilter, ...] = ()
    value: Cell
    matched: int
    vector_store_id: str
    document_id: str
    source: str
    table: int
    citations: tuple[RowCitation, ...]
