"""How tests are shared out when several run at once, and what Hypothesis makes of a busy machine."""

import pytest
from hypothesis import HealthCheck, settings

# how long an example takes tells of the machine, not of the code
# A neighbour on the machine makes any example slow: time is measured in tests/bench/ alone.
settings.register_profile("sluice", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("sluice")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep a file's tests on one worker: they share servers."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(str(item.path)))
