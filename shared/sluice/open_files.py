"""Lets a service have as many connections as the system allows it: each is a file descriptor.

Shells and service managers start processes with a soft limit of 1,024, for the sake of programs that use select(2). None here does.
"""

import logging
import resource

_log = logging.getLogger(__name__)
_ENOUGH = 1 << 20


def allow_many_files() -> int:
    """Raise the soft limit of open files to the hard one, at most to 1,048,576, and return it; it never falls."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _ENOUGH
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if wanted <= soft:
        return soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):  # macOS allows less than it says
        _log.warning("the limit of open files could not be raised", extra={"limit": soft, "wanted": wanted})
        return soft
    return wanted
