"""Search filters as SQL over the table of documents and that of their attributes."""

from collections.abc import Callable, Mapping, Sequence
from operator import eq, ge, gt, le, lt
from typing import Any

from sqlalchemy import ColumnElement, and_, false, not_, or_, select

from sluice.contracts.retrieval import Attribute, Attributes, Comparison, SearchFilter
from sluice_retrieval.tables import AttributeRow, DocumentRow

_ORDER: Mapping[str, Callable[[Any, Any], Any]] = {"eq": eq, "gt": gt, "gte": ge, "lt": lt, "lte": le}


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


def matches(wanted: SearchFilter, store_ids: Sequence[str]) -> ColumnElement[bool]:
    """Return the condition on documents of these stores; it is true or false for every document, never null."""
    if isinstance(wanted, Comparison):
        return _compared(wanted, store_ids)
    parts = [matches(part, store_ids) for part in wanted.filters]
    return and_(*parts) if wanted.type == "and" else or_(*parts)


def _compared(wanted: Comparison, store_ids: Sequence[str]) -> ColumnElement[bool]:
    values = wanted.value if isinstance(wanted.value, tuple) else (wanted.value,)
    negated = wanted.type in ("ne", "nin")
    test = _ORDER["eq" if negated or wanted.type == "in" else wanted.type]
    found = or_(*(_one(wanted.key, value, test, store_ids) for value in values))
    return not_(found) if negated else found


def _one(key: str, value: Attribute, test: Callable[[Any, Any], Any], store_ids: Sequence[str]) -> ColumnElement[bool]:
    kind = _kind(value)
    if key == "document.name":
        return test(DocumentRow.name, value) if kind == "text" else false()
    if key == "document.created_at":
        return test(DocumentRow.created_at, value) if kind == "number" else false()
    held = test(AttributeRow.text, value) if isinstance(value, str) else test(AttributeRow.number, float(value))
    where = (AttributeRow.store_id.in_(store_ids), AttributeRow.key == key, AttributeRow.kind == kind, held)
    return DocumentRow.id.in_(select(AttributeRow.document_id).where(*where))


def _kind(value: Attribute) -> str:
    if isinstance(value, str):
        return "text"
    return "boolean" if isinstance(value, bool) else "number"
