"""Times as a person types them."""

import re
from datetime import UTC, datetime

from sluice_cli.platform.errors import CommandFailed

_YEAR, _DAY = re.compile(r"(?:19|20)[0-9]{2}"), re.compile(r"(?:19|20)[0-9]{6}")


def moment(option: str, text: str) -> float:
    """Return unix seconds of a date, a time, or a number of seconds; without a zone it is UTC.

    Eight digits are a date such as 20270101, and four may be a year: no second of 1970.
    """
    if _YEAR.fullmatch(text):
        raise CommandFailed(f"{option} {text} may be a year. Write a day such as {text}-01-01.")
    try:
        if not _DAY.fullmatch(text):
            return float(text)
    except ValueError:
        pass
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise CommandFailed(
            f"{option} {text} is no date or time, such as 2027-01-01 or 2027-01-01T08:00+01:00."
        ) from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def shown(at: float | None) -> str | None:
    """Return unix seconds as a date and time in UTC; None stays None."""
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(sep=" ", timespec="seconds")
