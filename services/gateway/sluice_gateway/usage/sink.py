"""The request path's way into the journal."""

import orjson

from sluice_gateway.domain.ports import UsageFields
from sluice_gateway.usage.journal import Journal


class JournalSink:
    """Serialises usage and appends it to the journal; see the port for what happens when it cannot."""

    def __init__(self, journal: Journal, life: str) -> None:
        self._journal = journal
        self.life = life

    @property
    def accepting(self) -> bool:
        """Whether new requests should be admitted: False while the journal is nearly full or the disk refuses."""
        return self._journal.accepting

    def record(self, event: UsageFields) -> None:
        """Append one event as a row; it is on its way to the database when this returns."""
        self._journal.append(orjson.dumps(event[:]))  # the slice is a plain tuple, which orjson writes as an array
