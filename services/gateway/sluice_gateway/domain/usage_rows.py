"""Usage records in columns, the shape in which many are checked, summed up and stored at once.

Thousands of records arrive a second: what is done to a whole column (one set, one `zip`, one `sum`) costs a tenth of what is
done to each record.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import chain, compress
from typing import Any, Self, get_args

from sluice.contracts.usage import UsageRecorded, UsageStatus
from sluice_gateway.tokens import TokenDetails

FIELDS = tuple(name for name in UsageRecorded.model_fields if name != "v")
_DEFAULTS = {name: field.default for name, field in UsageRecorded.model_fields.items() if not field.is_required()}
_REQUIRED = frozenset(name for name, field in UsageRecorded.model_fields.items() if field.is_required())
_KINDS: dict[Any, set[type]] = {
    str: {str},
    str | None: {str, type(None)},
    int: {int},
    int | None: {int, type(None)},
    float: {float, int},
    float | None: {float, int, type(None)},
    bool: {bool},
}
_PLAIN = {
    name: _KINDS[field.annotation] for name, field in UsageRecorded.model_fields.items() if field.annotation in _KINDS
}
_STATUSES = frozenset(get_args(UsageStatus))
_DETAILS = tuple(f"{kind}_tokens" for kind in TokenDetails._fields if kind != "cache_write_1h")
_LENGTHS = {
    "event_id": 64,
    "request_id": 64,
    "tenant": 63,
    "key_id": 64,
    "endpoint": 64,
    "model": 200,
    "route": 200,
    "deployment": 200,
    "error_code": 100,
    "life": 32,
    "organization_id": 40,
    "team_id": 40,
    "end_user": 128,
    "price_source": 100,
    "user_type": 40,
    "prompt": 63,
}


class UsageRows:
    """Records by column; a text is cut to its column and has no NUL, which PostgreSQL refuses.

    Texts such as a model's name come from callers; one that does not fit must not keep a whole batch from being stored.
    """

    __slots__ = ("columns",)

    def __init__(self, columns: dict[str, Sequence[Any]]) -> None:
        """Take a column for each of `FIELDS`, all of the same length and with values that fit."""
        self.columns = columns

    @classmethod
    def of(cls, events: Iterable[UsageRecorded]) -> Self:
        """Return events as rows."""
        kept = list(events)
        return cls(_fitted({name: [getattr(event, name) for event in kept] for name in FIELDS}))

    @classmethod
    def read(cls, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> Self | None:
        """Return rows as they stand in the journal, or None when one of them is not in order.

        A newer gateway's further columns are ignored, an older one's missing ones have their defaults.
        """
        if set(map(type, rows)) != {list} or set(map(len, rows)) != {len(names)} or not _REQUIRED.issubset(names):
            return None
        given: dict[str, Sequence[Any]] = dict(zip(names, zip(*rows, strict=True), strict=True))
        found = {name: given.get(name) or [_DEFAULTS[name]] * len(rows) for name in FIELDS}
        details = given.get("token_details")
        if details is not None and any(details):
            if not _are_details(details):
                return None
            filled = [[*(row or ()), *[0] * len(_DETAILS)] for row in details]
            found |= {name: [row[place] for row in filled] for place, name in enumerate(_DETAILS)}
        return cls(_fitted(found)) if _in_order(found, given.get("v")) else None

    @classmethod
    def together(cls, parts: Sequence["UsageRows"]) -> "UsageRows":
        """Return the rows of all parts, each event once, in the order of their ids."""
        if not parts:
            return cls.of(())
        ids = list(chain.from_iterable(part.columns["event_id"] for part in parts))
        places = dict(zip(ids, range(len(ids)), strict=True))
        order = [places[event_id] for event_id in sorted(places)]
        return _made(lambda name: list(chain.from_iterable(part.columns[name] for part in parts)), order)

    def __len__(self) -> int:
        return len(self.columns["event_id"])

    def at(self, places: Sequence[int]) -> "UsageRows":
        """Return the rows at these places."""
        return _made(self.columns.__getitem__, places)

    def without(self, event_ids: Collection[str]) -> "UsageRows":
        """Return the rows of other events than these."""
        if not event_ids:
            return self
        left = [event_id not in event_ids for event_id in self.columns["event_id"]]
        return _made(self.columns.__getitem__, list(compress(range(len(left)), left)))

    def events(self) -> Iterator[UsageRecorded]:
        """Yield the rows as events."""
        for row in zip(*(self.columns[name] for name in FIELDS), strict=True):
            yield UsageRecorded(**dict(zip(FIELDS, row, strict=True)))


def _made(column: Callable[[str], Sequence[Any]], places: Sequence[int]) -> UsageRows:
    return UsageRows({name: list(map(column(name).__getitem__, places)) for name in FIELDS})


def _fitted(columns: dict[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
    for name, most in _LENGTHS.items():
        texts = set(columns[name]) - {None}
        odd = {text: text.replace("\x00", "")[:most] for text in texts if len(text) > most or "\x00" in text}
        if odd:
            columns[name] = [odd.get(text, text) for text in columns[name]]
    return columns


def _are_details(column: Sequence[Any]) -> bool:
    rows = [row for row in column if row]
    return set(map(type, rows)) <= {list} and set(map(type, chain.from_iterable(rows))) <= {int}


def _in_order(columns: dict[str, Sequence[Any]], versions: Sequence[Any] | None) -> bool:
    # What `UsageRecorded` demands, for all rows at once.
    if versions is not None and any(version != 1 for version in versions):
        return False
    if not all(set(map(type, columns[name])) <= kinds for name, kinds in _PLAIN.items() if name != "v"):
        return False
    if set(map(type, columns["status"])) != {str} or not _STATUSES.issuperset(columns["status"]):
        return False
    return all(_are_texts(columns[name]) for name in ("guard_issues", "tags"))


def _are_texts(column: Sequence[Any]) -> bool:
    return set(map(type, column)) <= {list, tuple} and set(map(type, chain.from_iterable(column))) <= {str}
