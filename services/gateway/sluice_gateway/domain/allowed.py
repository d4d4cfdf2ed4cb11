"""Allow-lists: names of models and routes, and patterns such as `gpt-4*` that stand for those that there are."""

import re
from collections.abc import Callable, Iterable
from fnmatch import translate
from functools import lru_cache

from sluice.contracts.routing import RoutingSnapshot

_ANY = "*"


def names_in(snapshot: RoutingSnapshot) -> frozenset[str]:
    """Return all names that a request may say as its `model`."""
    named = (snapshot.models, snapshot.routes, snapshot.aliases)
    return frozenset(one.name for entries in named for one in entries)


def resolved(allowed: frozenset[str], names: Iterable[str]) -> frozenset[str]:
    """Return an allow-list with each pattern replaced by the names that it fits; `*` stands for any characters, also for none.

    Names that are no patterns stay, whether there is such a model or not. Patterns tell small letters from capital ones, as names do.
    """
    patterns = [one for one in allowed if _ANY in one]
    if not patterns:
        return allowed
    fits = [_fitting(one) for one in patterns]
    return frozenset(one for one in allowed if _ANY not in one).union(
        name for name in names if any(fit(name) for fit in fits)
    )


@lru_cache(maxsize=1024)
def _fitting(pattern: str) -> Callable[[str], object]:
    # The standard library's translation takes no longer for many stars; `?` and `[` mean nothing here.
    return re.compile(translate(re.sub(r"[?\[]", r"[\g<0>]", pattern)), re.DOTALL).fullmatch
