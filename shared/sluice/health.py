"""Asking dependencies whether they are well, for /readyz of services and workers."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from sluice.errors import SluiceError

_log = logging.getLogger(__name__)

Probe = Callable[[], Awaitable[None]]
"""Asks one dependency; raising means that it is not ready."""


async def failing(probes: Mapping[str, Probe]) -> dict[str, str]:
    """Ask all at once and return what is wrong by name; nothing when all is well."""
    answers = await asyncio.gather(*(_ask(name, probe) for name, probe in probes.items()))
    return {name: answer for name, answer in zip(probes, answers, strict=True) if answer}


async def _ask(name: str, probe: Probe) -> str:
    try:
        await probe()
    except SluiceError as exc:
        return exc.detail
    except Exception as exc:  # noqa: BLE001 - whatever a probe raises means not ready; the class is shown, not the text
        _log.warning("probe %s failed", name, exc_info=True)
        return type(exc).__name__
    return ""
