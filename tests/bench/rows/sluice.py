"""Sluice's own gateway as users run it: one key, usage recorded, a named model without a policy."""

import importlib.util
from contextlib import contextmanager

from tests.bench.errors import BenchError
from tests.bench.rows.base import Opened, Place


def missing(_place: Place) -> str | None:
    if importlib.util.find_spec("sluice_gateway.__main__") is None:
        return "sluice_gateway is not installed in this environment"
    return None


@contextmanager
def open_sluice(place: Place) -> Opened:
    raise BenchError("pending")
    yield
