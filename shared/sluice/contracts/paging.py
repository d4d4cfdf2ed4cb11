"""Cursor pagination in the shape that OpenAI's list endpoints use."""

from collections.abc import Sequence
from typing import Annotated, Generic, Literal, TypeVar

from pydantic import AfterValidator, Field, StringConstraints

from sluice.contracts.base import Reply, Request

Item = TypeVar("Item", bound=Reply)
Order = Literal["asc", "desc"]
Cursor = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00-\x1f]*$")]


def id_of(*prefixes: str) -> AfterValidator:
    """Return what refuses a cursor that cannot be from this list; one whose row was deleted since goes on where it was.

    Rows are compared by their ids, so that any other text would begin the list anew, or end it.
    """
    begins = tuple(f"{prefix}_" for prefix in prefixes)

    def check(value: str | None) -> str | None:
        if value and not value.startswith(begins):
            raise ValueError("it names nothing in this list; send the `last_id` of the page before")
        return value or None

    return AfterValidator(check)


class PageQuery(Request):
    """Which part of a list: at most `limit` rows that come after the row with id `after`."""

    limit: Annotated[int, Field(ge=1, le=100)] = 20
    after: Cursor | None = None
    order: Order = "desc"


class Page(Reply, Generic[Item]):
    """One page of a list."""

    object: Literal["list"] = "list"
    data: tuple[Item, ...]
    first_id: str | None = None
    last_id: str | None = None
    has_more: bool = False

    @classmethod
    def of(cls, rows: Sequence[Item], limit: int, *, key: str = "id") -> "Page[Item]":
        """Make a page of rows that were read with `limit + 1`, so that the extra row tells whether more follow."""
        shown = tuple(rows[:limit])
        return cls(
            data=shown,
            first_id=getattr(shown[0], key) if shown else None,
            last_id=getattr(shown[-1], key) if shown else None,
            has_more=len(rows) > limit,
        )
