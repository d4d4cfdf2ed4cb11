"""Keeps the last readings of each scaling group, so that figures over a window can be told."""

import asyncio
from collections.abc import Mapping
from typing import Protocol

from sluice.clock import Clock
from sluice.contracts.engine import ScalingSignals
from sluice.errors import DependencyUnavailable
from sluice_inference.domain.errors import ScalingGroupNotFound
from sluice_inference.domain.scaling import Sample, kept, sample_of, signals
from sluice_inference.domain.specs import ScalingGroup


class ReadsReplicas(Protocol):
    """Gives the metrics of all replicas behind a URL, by address; None where one does not answer."""

    async def read(self, url: str) -> dict[str, str | None]:
        """Read them now."""
        ...


class Scaling:
    """Answers what the replicas of a group report; they are read when somebody asks, at most once in `every_s` seconds.

    Without a reader nothing is read, so a group that no autoscaler looks at costs nothing.
    """

    def __init__(self, groups: Mapping[str, ScalingGroup], replicas: ReadsReplicas, clock: Clock) -> None:
        self._groups = groups
        self._replicas = replicas
        self._clock = clock
        self._samples: dict[str, dict[str, tuple[Sample, ...]]] = {name: {} for name in groups}
        self._answers: dict[str, tuple[float, ScalingSignals]] = {}
        self._locks = {name: asyncio.Lock() for name in groups}

    async def signals(self, name: str) -> ScalingSignals:
        """Return the figures of a group.

        Raises:
            ScalingGroupNotFound: engines.yaml names no such group.
            DependencyUnavailable: none of its replicas answers.
        """
        group = self._groups.get(name)
        if group is None:
            known = ", ".join(self._groups) or "none"
            raise ScalingGroupNotFound(f"engines.yaml has no scaling group {name!r}. It has: {known}.")
        async with self._locks[name]:
            answer = self._answers.get(name)
            if answer is not None and self._clock.monotonic() - answer[0] < group.every_s:
                return answer[1]
            made = await self._read(name, group)
            self._answers[name] = (self._clock.monotonic(), made)
            return made

    async def _read(self, name: str, group: ScalingGroup) -> ScalingSignals:
        texts = await self._replicas.read(group.metrics_url)
        now = self._clock.monotonic()
        known = self._samples[name]
        found = {
            address: kept((*known.get(address, ()), sample_of(text, now)), group.window_s)
            for address, text in texts.items()
            if text is not None
        }
        # A replica that was late once keeps what was known of it; one that is gone is forgotten.
        self._samples[name] = {address: known[address] for address in texts if address in known} | found
        if not found:
            raise DependencyUnavailable(
                f"None of the {len(texts)} replicas at {group.metrics_url} answered. Look whether the engines run."
            )
        return signals(name, list(found.values()), replicas=len(texts), window_s=group.window_s, now=self._clock.now())
