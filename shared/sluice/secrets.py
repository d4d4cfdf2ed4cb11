"""Keys of providers, by reference: from a variable of the environment, or from a file of the folder for secrets."""

import time
from pathlib import Path

from sluice.contracts.routing import DeploymentAuth
from sluice.files import Stamp, stamp
from sluice.settings import secret_from_environment

_LOOK_S = 1.0


class ProviderSecrets:
    """Reads keys. A file is looked at once a second at most, so that a key is rotated by replacing the file, without a restart.

    Docker and Kubernetes mount secrets as such files; what is around a key there (a line's end) is not part of it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, tuple[float, Stamp | None, str | None]] = {}

    def read(self, auth: DeploymentAuth) -> str | None:
        """Return the key that a deployment names, None when it is not there."""
        if auth.file is None:
            return secret_from_environment(auth.env or "")
        now = time.monotonic()
        known = self._known.get(auth.file)
        if known is not None and now - known[0] < _LOOK_S:
            return known[2]
        path = self._folder / auth.file
        seen = stamp(path)
        secret = known[2] if known is not None and known[1] == seen else _content(path)
        self._known[auth.file] = (now, seen, secret)
        return secret


def _content(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        return None
