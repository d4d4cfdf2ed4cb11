"""The counter of a store: it goes up in the transaction that changes what a search of the store finds."""

from collections.abc import Iterable

from sqlalchemy import String, bindparam, update

from sluice.db import Session
from sluice_retrieval.tables import StoreRow

_BUMPED = (
    update(StoreRow)
    .where(StoreRow.id == bindparam("store", type_=String))
    .values(version=StoreRow.version + 1)
    .execution_options(synchronize_session=False)
)


def bump(session: Session, store_ids: Iterable[str]) -> None:
    """Give stores their next version; call it before documents are changed, since who locks both locks the store first."""
    for store_id in sorted(set(store_ids)):
        session.execute(_BUMPED, {"store": store_id})
