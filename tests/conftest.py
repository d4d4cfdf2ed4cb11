"""How tests are shared out when several run at once."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep a file's tests on one worker (they share servers), and all end-to-end tests together (they share a platform)."""
    for item in items:
        group = "e2e" if item.get_closest_marker("e2e") else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))
