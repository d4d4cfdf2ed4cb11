"""Search filters as SQL over the table of documents and that of their attributes."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from operator import ge, gt, le, lt
from typing import Any, NamedTuple

from sqlalchemy import BindParameter, ColumnElement, Float, String, and_, bindparam, false, not_, or_, select

from sluice.contracts.searching import Attribute, Attributes, Comparison, Compound, SearchFilter
from sluice_retrieval.tables import AttributeRow, DocumentRow

_ORDER: Mapping[str, Callable[[Any, Any], Any]] = {"gt": gt, "gte": ge, "lt": lt, "lte": le}
_LISTED = ("eq", "ne", "in", "nin")
_TYPES: Mapping[str, Any] = {"text": String, "number": Float, "boolean": Float}
_OF_DOCUMENT: Mapping[str, tuple[Any, str]] = {
    "document.name": (DocumentRow.name, "text"),
    "document.created_at": (DocumentRow.created_at, "number"),
    "document.media_type": (DocumentRow.media_type, "text"),
}


def attribute_rows(document_id: str, store_id: str, attributes: Attributes) -> list[AttributeRow]:
    """Return a document's metadata value by value."""
    return [
        AttributeRow(
            document_id=document_id,
            store_id=store_id,
            key=key,
            kind=_kind(value),
            text=value if isinstance(value, str) else None,
            number=None if isinstance(value, str) else float(value),
        )
        for key, value in attributes.items()
    ]


class Shape(NamedTuple):
    """What of a filter decides its SQL; filters of one shape differ in keys and values only."""

    sort: str
    column: str = ""
    kinds: tuple[str, ...] = ()
    parts: tuple["Shape", ...] = ()


def shape_of(wanted: SearchFilter) -> Shape:
    """Return a filter's shape."""
    if isinstance(wanted, Compound):
        return Shape(wanted.type, parts=tuple(shape_of(part) for part in wanted.filters))
    column = wanted.key if wanted.key in _OF_DOCUMENT else ""
    return Shape(wanted.type, column, tuple(sorted(_by_kind(wanted))))


def values_of(wanted: SearchFilter) -> dict[str, Any]:
    """Return the values of the condition that `matches` gives for this filter's shape."""
    found: dict[str, Any] = {}
    for number, one in enumerate(_comparisons(wanted)):
        found[f"key_{number}"] = one.key
        for kind, values in _by_kind(one).items():
            found[f"{kind}_{number}"] = values if one.type in _LISTED else values[0]
    return found


def matches(shape: Shape, stores: BindParameter[Any]) -> ColumnElement[bool]:
    """Return the condition on documents of these stores; it is true or false for every document, never null.

    Keys and values are parameters, so that a statement can be built once for all filters of a shape.
    """
    return _matches(shape, stores, itertools.count())


def _matches(shape: Shape, stores: BindParameter[Any], numbers: Iterator[int]) -> ColumnElement[bool]:
    if not shape.parts:
        return _compared(shape, stores, next(numbers))
    parts = [_matches(part, stores, numbers) for part in shape.parts]
    return and_(*parts) if shape.sort == "and" else or_(*parts)


def _compared(shape: Shape, stores: BindParameter[Any], number: int) -> ColumnElement[bool]:
    found = or_(*(_of_kind(shape, kind, stores, number) for kind in shape.kinds))
    return not_(found) if shape.sort in ("ne", "nin") else found


def _of_kind(shape: Shape, kind: str, stores: BindParameter[Any], number: int) -> ColumnElement[bool]:
    value = bindparam(f"{kind}_{number}", expanding=shape.sort in _LISTED, type_=_TYPES[kind])
    if shape.column:
        column, of_column = _OF_DOCUMENT[shape.column]
        return _test(shape.sort, column, value) if kind == of_column else false()
    held = _test(shape.sort, AttributeRow.text if kind == "text" else AttributeRow.number, value)
    key = AttributeRow.key == bindparam(f"key_{number}", type_=String)
    where = (AttributeRow.store_id.in_(stores), key, AttributeRow.kind == kind, held)
    return DocumentRow.id.in_(select(AttributeRow.document_id).where(*where))


def _test(sort: str, column: Any, value: BindParameter[Any]) -> Any:
    return column.in_(value) if sort in _LISTED else _ORDER[sort](column, value)


def _comparisons(wanted: SearchFilter) -> Iterator[Comparison]:
    if isinstance(wanted, Comparison):
        yield wanted
        return
    for part in wanted.filters:
        yield from _comparisons(part)


def _by_kind(wanted: Comparison) -> dict[str, list[str | float]]:
    found: dict[str, list[str | float]] = {}
    for value in wanted.value if isinstance(wanted.value, tuple) else (wanted.value,):
        found.setdefault(_kind(value), []).append(value if isinstance(value, str) else float(value))
    return found


def _kind(value: Attribute) -> str:
    if isinstance(value, str):
        return "text"
    return "boolean" if isinstance(value, bool) else "number"
