"""How tests are shared out when several run at once, what Hypothesis makes of a busy machine, and what clients over HTTP need not load."""

import os
import tempfile
from pathlib import Path

import certifi
import pytest
from hypothesis import HealthCheck, settings

# How long an example takes tells of the machine, not of the code: time is measured in tests/bench/ alone. The examples are the same in every run, so that a
# change is judged by what it changes; `--hypothesis-profile=explore` tries others.
settings.register_profile("sluice", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
settings.register_profile("explore", settings.get_profile("sluice"), derandomize=False)
settings.load_profile("sluice")

_AUTHORITIES = "SSL_CERT_FILE"
_END = "-----END CERTIFICATE-----\n"
_folder: tempfile.TemporaryDirectory[str] | None = None


def pytest_configure() -> None:
    """Let HTTP clients trust one authority and not 140: none leaves this machine, and each of thousands would read them all in 20 ms."""
    global _folder  # noqa: PLW0603 - from one hook to the other
    if _AUTHORITIES not in os.environ:
        _folder = tempfile.TemporaryDirectory(prefix="sluice-authority-")
        authority = Path(_folder.name, "one.pem")
        authority.write_text(Path(certifi.where()).read_text().partition(_END)[0] + _END)
        os.environ[_AUTHORITIES] = str(authority)


def pytest_unconfigure() -> None:
    """Remove the file again."""
    if _folder is not None:
        del os.environ[_AUTHORITIES]
        _folder.cleanup()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep a file's tests on one worker, since they share servers; long ones come first, so that no worker is left alone with one at the end."""
    items.sort(key=lambda item: "integration" not in item.path.parts)
    for item in items:
        item.add_marker(pytest.mark.xdist_group(str(item.path)))
