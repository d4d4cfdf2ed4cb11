"""Search filters as SQL over the table of documents."""

from collections.abc import Callable, Mapping
from operator import eq, ge, gt, le, lt
from typing import Any

from sqlalchemy import ColumnElement, and_, case, false, func, literal, not_, or_
from sqlalchemy.sql.functions import Function

from sluice.contracts.retrieval import Attribute, Comparison, SearchFilter
from sluice_retrieval.tables import DocumentRow

_ORDER: Mapping[str, Callable[[Any, Any], Any]] = {"eq": eq, "gt": gt, "gte": ge, "lt": lt, "lte": le}
_NUMBERS = ("integer", "real", "number")
_TEXTS = ("text", "string")
_BOOLEANS = ("true", "false", "boolean")


def matches(wanted: SearchFilter, *, sqlite: bool) -> ColumnElement[bool]:
    """Return the condition; it is true or false for every document, never null."""
    if isinstance(wanted, Comparison):
        return _compared(wanted, sqlite=sqlite)
    parts = [matches(part, sqlite=sqlite) for part in wanted.filters]
    return and_(*parts) if wanted.type == "and" else or_(*parts)


def _compared(wanted: Comparison, *, sqlite: bool) -> ColumnElement[bool]:
    values = wanted.value if isinstance(wanted.value, tuple) else (wanted.value,)
    negated = wanted.type in ("ne", "nin")
    test = _ORDER["eq" if negated or wanted.type == "in" else wanted.type]
    found = or_(*(_one(wanted.key, value, test, sqlite=sqlite) for value in values))
    return not_(found) if negated else found


def _one(key: str, value: Attribute, test: Callable[[Any, Any], Any], *, sqlite: bool) -> ColumnElement[bool]:
    if key == "document.name":
        return test(DocumentRow.name, value) if isinstance(value, str) else false()
    if key == "document.created_at":
        return test(DocumentRow.created_at, value) if _is_number(value) else false()
    held = DocumentRow.details[key]
    kind = _kind(key, held, sqlite=sqlite)
    # a cast that does not fit is an error in PostgreSQL, so the kind is looked at before the value
    if isinstance(value, bool):
        return case((kind.in_(_BOOLEANS), test(held.as_boolean(), value)), else_=false())
    if isinstance(value, str):
        return case((kind.in_(_TEXTS), test(held.as_string(), value)), else_=false())
    return case((kind.in_(_NUMBERS), test(held.as_float(), float(value))), else_=false())


def _kind(key: str, held: Any, *, sqlite: bool) -> ColumnElement[str]:
    """Return the JSON type of a document's value; an empty text where it has none."""
    found: Function[Any] = func.json_type(DocumentRow.details, f'$."{key}"') if sqlite else func.json_typeof(held)
    return func.coalesce(found, literal(""))


def _is_number(value: Attribute) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
