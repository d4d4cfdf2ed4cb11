"""How tests are shared out when several run at once."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep a file's tests on one worker, since they share servers; all end-to-end tests, which share a platform, on one."""
    for item in items:
        group = "e2e" if item.get_closest_marker("e2e") else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))
