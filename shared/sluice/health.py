"""Asking dependencies whether they are well, for /readyz of services and workers."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from sluice.errors import SluiceError

_log = logging.getLogger(__name__)

Probe = Callable[[], Awaitable[None]]
"""Asks one dependency; raising means that it is not ready."""


_WITHIN_S = 2.0  # less than Kubernetes waits for /readyz


async def failing(probes: Mapping[str, Probe], *, within_s: float = _WITHIN_S) -> dict[str, str]:
    """Ask all at once and return what is wrong by name; nothing when all is well.

    A dependency that does not answer within `within_s` seconds is one of those that are not.
    """
    answers = await asyncio.gather(*(_ask(name, probe, within_s) for name, probe in probes.items()))
    return {name: answer for name, answer in zip(probes, answers, strict=True) if answer}


async def _ask(name: str, probe: Probe, within_s: float) -> str:
    clock = asyncio.timeout(within_s)
    try:
        async with clock:
            await probe()
    except SluiceError as exc:
        return exc.detail
    except Exception as exc:  # noqa: BLE001 - whatever a probe raises means not ready; the class is shown, not the text
        if clock.expired():
            return f"It does not answer within {within_s:g} s."
        _log.warning("probe %s failed", name, exc_info=True)
        return type(exc).__name__
    return ""
