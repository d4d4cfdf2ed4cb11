"""models.yaml: read, checked, and read again when it changes."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection

from sluice.clock import Clock
from sluice.contracts.routing_lists import ConfigStatus
from sluice.errors import SluiceError
from sluice.files import stamp
from sluice.settings import OPTIONAL_SERVICES, SERVICES, ConfigError, PlatformSettings
from sluice_router.domain.config import ModelsFile, parse
from sluice_router.domain.unserved import unguarded, unserved

_log = logging.getLogger(__name__)
FILENAME = "models.yaml"
GUARD_FILENAME = "guard.yaml"


def load(platform: PlatformSettings) -> ModelsFile:
    """Read and check the file; what needs a service that is off, or a guard policy that is not there, is told in the log.

    Raises:
        ModelsFileError: with every wrong value, where it stands and what is wrong.
    """
    path = str(platform.config_dir / FILENAME)
    found = parse(platform.load_yaml(FILENAME), path, lambda place: platform.line_of(FILENAME, place))
    for said in unserved(found, [name for name in (*SERVICES, *OPTIONAL_SERVICES) if not platform.runs(name)]):
        _log.warning("%s", said)
    guards = _guard_policies(platform)
    for said in () if guards is None else unguarded(found, guards):
        _log.warning("%s", said)
    return found


def _guard_policies(platform: PlatformSettings) -> Collection[str] | None:
    # The file is the guardrail's own, and may lie elsewhere: what cannot be read here is told of there.
    if not (platform.config_dir / GUARD_FILENAME).is_file():
        return None
    try:
        content = platform.load_yaml(GUARD_FILENAME)
    except ConfigError:
        return None
    found = content.get("policies") if isinstance(content, dict) else None
    return [str(name) for name in found] if isinstance(found, dict) else None


class WatchedFile:
    """Holds the configuration in force.

    Degraded mode: a changed file that is wrong is not taken over; the old configuration stays in force, and `problem`
    says what is wrong until the file is right again.
    """

    def __init__(self, platform: PlatformSettings, clock: Clock, reloaded: Callable[[bool], None]) -> None:
        self._platform = platform
        self._path = platform.config_dir / FILENAME
        self._reloaded = reloaded
        self._clock = clock
        self._seen = stamp(self._path)
        self.current = load(platform)
        self.loaded_at = clock.now()
        self.problem: str | None = None
        reloaded(True)  # noqa: FBT003 - the callback's one argument is whether the file is right

    def reload(self) -> bool:
        """Read the file now; return whether the configuration in force changed.

        Raises:
            SluiceError: the file is wrong; the old configuration stays.
        """
        self._seen = stamp(self._path)
        try:
            fresh = load(self._platform)
        except SluiceError as exc:
            self.problem = exc.detail
            self._reloaded(False)  # noqa: FBT003
            raise
        self.problem = None
        self._reloaded(True)  # noqa: FBT003
        changed = fresh != self.current
        self.current = fresh
        self.loaded_at = self._clock.now()
        return changed

    def status(self) -> ConfigStatus:
        """Return which file is in force since when, and why a later change of it is not."""
        return ConfigStatus(file=str(self._path), loaded_at=self.loaded_at, problem=self.problem)

    async def watch(self, every_s: float, changed: Callable[[], Awaitable[None]]) -> None:
        """Look for changes until cancelled."""
        while True:
            await asyncio.sleep(every_s)
            if stamp(self._path) == self._seen:
                continue
            try:
                if self.reload():
                    _log.info("%s changed and is in force", self._path)
                    await changed()
            except SluiceError as exc:
                _log.error("%s; the old configuration stays in force", exc.detail)
