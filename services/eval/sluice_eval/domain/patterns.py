"""Regular expressions from users, in RE2: time is linear in the text, whatever the pattern."""

from functools import lru_cache
from typing import Any

import re2  # type: ignore[import-untyped] # the wheel carries no types

MAX_PATTERN = 2000
_MAX_MEMORY = 1 << 20


class PatternInvalid(ValueError):
    """The pattern is not RE2 syntax, or too large."""


@lru_cache(maxsize=256)
def compile_pattern(pattern: str, *, ignore_case: bool = False) -> Any:
    """Return a compiled pattern with `search` and `fullmatch`.

    Raises:
        PatternInvalid: RE2 does not accept it (back-references and look-around are not part of it).
    """
    if len(pattern) > MAX_PATTERN:
        raise PatternInvalid(f"the pattern is longer than {MAX_PATTERN} characters")
    options = re2.Options()
    options.max_mem = _MAX_MEMORY
    options.log_errors = False
    options.case_sensitive = not ignore_case
    options.dot_nl = False
    try:
        return re2.compile(pattern, options=options)
    except re2.error as exc:
        said = exc.args[0] if exc.args else "unknown error"
        text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        raise PatternInvalid(f"RE2 does not accept the pattern: {text}") from exc
