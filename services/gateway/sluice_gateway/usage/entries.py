"""What an entry of the usage stream holds, as rows for the database."""

import orjson

from sluice.queues import USAGE, Entry, Found
from sluice_gateway.domain.usage_rows import UsageRows


def usage_rows(entry: Entry) -> Found[UsageRows]:
    """Return an entry's records in columns.

    What a gateway of this version writes is in order as a whole; an entry with anything odd is read record by record, so that only
    what cannot be read is left out.
    """
    if b"rows" in entry:
        rows = UsageRows.read(orjson.loads(entry[b"columns"]), orjson.loads(entry[b"rows"]))
        if rows is not None:
            return Found([rows], [])
    found = USAGE.read(entry)
    return Found([UsageRows.of(found.items)] if found.items else [], found.unreadable)
