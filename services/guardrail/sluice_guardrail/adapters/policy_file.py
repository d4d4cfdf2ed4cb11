"""Reads guard.yaml and takes over its changes while the service runs."""

import asyncio
import logging
from collections.abc import Callable
from typing import Literal

from sluice.files import stamp
from sluice.settings import ConfigError, PlatformSettings
from sluice_guardrail.domain.policy import PolicySet, parse_policies

FILENAME = "guard.yaml"
_log = logging.getLogger(__name__)


def load_policies(platform: PlatformSettings) -> PolicySet:
    """Read the policies.

    Raises:
        ConfigError: the file cannot be read or is not right; the sentence names the field.
    """
    path = str(platform.config_dir / FILENAME)
    return parse_policies(platform.load_yaml(FILENAME), path, lambda place: platform.line_of(FILENAME, place))


class PolicyFile:
    """The policies in force.

    Degraded mode: when the file has become unreadable or wrong, the policies read before stay in force, the reason
    is logged, counted and shown in `error` until the file is right again.
    """

    def __init__(
        self, platform: PlatformSettings, on_reload: Callable[[Literal["taken", "refused"]], None] = lambda result: None
    ) -> None:
        self._platform = platform
        self._path = platform.config_dir / FILENAME
        self._on_reload = on_reload
        self._seen = stamp(self._path)
        self.current = load_policies(platform)
        self.error: str | None = None

    def refresh(self) -> None:
        """Read the file again and take over what changed."""
        self._seen = stamp(self._path)
        try:
            found = load_policies(self._platform)
        except ConfigError as exc:
            if exc.detail != self.error:
                _log.error("guard policies of version %s stay in force: %s", self.current.version, exc.detail)
                self._on_reload("refused")
            self.error = exc.detail
            return
        self.error = None
        if found != self.current:
            self.current = found
            _log.info("guard policies of version %s are in force", found.version)
            self._on_reload("taken")

    async def watch(self, every_s: float) -> None:
        """Look for changes until cancelled; a file that could not be read is read again at each look."""
        while True:
            await asyncio.sleep(every_s)
            if self.error is not None or stamp(self._path) != self._seen:
                await asyncio.to_thread(self.refresh)
