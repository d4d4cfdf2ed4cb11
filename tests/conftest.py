"""How tests are shared out when several run at once."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep a file's tests on one worker: they share servers."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(str(item.path)))
