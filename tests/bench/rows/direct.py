"""The load generator straight to the mock upstream: what there is without any gateway."""

from contextlib import contextmanager

from tests.bench.loadgen import Target
from tests.bench.rows.base import Gateway, Opened, Place


def missing(_place: Place) -> str | None:
    return None


@contextmanager
def open_direct(place: Place) -> Opened:
    yield Gateway(Target(place.upstream.port))
