"""Deployments that are left alone, by all gateway processes together.

One failure makes a process leave a deployment alone for a moment; several in a row, or a rate limit, make all of them. The
process that opened a breaker tries the deployment first when its rest is over, the others a little later: so one request finds
out, and no process has to ask another one. Nothing here waits: messages go out and come in beside the requests.
"""

import asyncio
import random
from collections.abc import Iterable
from typing import Literal

from sluice.clock import Clock
from sluice.queues import DeploymentRested
from sluice_gateway.dataplane.deployments import DeploymentState
from sluice_gateway.dataplane.deps import Options
from sluice_gateway.dataplane.randomness import fresh_hex
from sluice_gateway.metrics import GatewayMetrics

_LOOK_EVERY_S = 5.0

Event = Literal["opened", "limited", "trial", "closed"]


class Cooldowns:
    """Notes what other processes have to know, and takes over what they say.

    Degraded mode: while nobody carries the messages (`shared` is false) each process keeps to what it saw itself.
    """

    def __init__(self, clock: Clock, options: Options, metrics: GatewayMetrics) -> None:
        self._clock = clock
        self._options = options
        self._metrics = metrics
        self._states: dict[str, DeploymentState] = {}
        self._pending: dict[str, DeploymentRested] = {}
        self._unread: set[str] = set()
        self._name = fresh_hex()
        self._wake = asyncio.Event()
        self.shared = False
        metrics.breaker_shared.set_function(lambda: float(self.shared))
        metrics.resting.set_function(self._resting)

    def use(self, states: Iterable[DeploymentState]) -> None:
        """Take over the deployments of a new routing table; what is known elsewhere of new ones is to be read."""
        found = {state.id: state for state in states}
        self._unread |= found.keys() - self._states.keys()
        self._states = found
        if self._unread:
            self._wake.set()

    def failed(self, state: DeploymentState) -> None:
        """Note a failure; the breaker opens for all processes when there were enough in a row."""
        if state.failures >= self._options.breaker_failures:
            self._say(state, "opened")
            state.tell = self._closed

    def limited(self, state: DeploymentState) -> None:
        """Note that a deployment asked for a pause."""
        self._say(state, "limited")

    def trying(self, state: DeploymentState) -> None:
        """Note that a deployment that failed is tried: others wait for the outcome."""
        state.paused_until = max(state.paused_until, self._clock.monotonic() + self._options.trial_s)
        if state.tell is not None:
            self._say(state, "trial")

    def take(self, message: DeploymentRested) -> None:
        """Take over what another process said."""
        state = self._states.get(message.deployment)
        if state is None or message.sender == self._name:
            return
        count = self._metrics.breaker_events.labels(message.event, "elsewhere").inc
        if message.event == "closed":
            count()
            state.tell = None
            state.succeeded()
            return
        wait = min(message.until - self._clock.now(), self._options.max_cooldown_s)
        if wait <= 0 or self._clock.monotonic() + wait <= state.paused_until:
            return  # over, or known
        count()
        if message.event != "limited":
            # the other process tries it first
            wait += self._options.trial_grace_s * (1 + random.random())  # noqa: S311 - so that the others do not come together
            state.failures = max(state.failures, message.failures)
            state.tell = self._closed
        state.rate_limited(self._clock.monotonic(), wait)

    async def wanted(self) -> tuple[list[DeploymentRested], list[str]]:
        """Return the messages to send and the deployments to read of, waiting for them; all are read of now and then."""
        try:
            async with asyncio.timeout(_LOOK_EVERY_S):
                await self._wake.wait()
        except TimeoutError:
            self._unread |= self._states.keys()
        self._wake.clear()
        messages, unread = list(self._pending.values()), sorted(self._unread)
        self._pending.clear()
        self._unread.clear()
        return messages, unread

    def undelivered(self, messages: Iterable[DeploymentRested], unread: Iterable[str]) -> None:
        """Take back what could not be sent or read; a newer message about the same deployment counts instead."""
        for message in messages:
            self._pending.setdefault(message.deployment, message)
        self._unread.update(unread)
        if self._pending or self._unread:
            self._wake.set()

    def known(self) -> list[str]:
        """Return the deployments of the routing table."""
        return sorted(self._states)

    def _closed(self, state: DeploymentState) -> None:
        self._say(state, "closed")

    def _say(self, state: DeploymentState, event: Event) -> None:
        self._metrics.breaker_events.labels(event, "here").inc()
        left = 0.0 if event == "closed" else state.paused_until - self._clock.monotonic()
        name = state.id
        self._pending[name] = DeploymentRested(
            deployment=name, event=event, until=self._clock.now() + left, failures=state.failures, sender=self._name
        )
        self._wake.set()

    def _resting(self) -> float:
        now = self._clock.monotonic()
        return float(sum(state.paused_until > now for state in self._states.values()))
