"""Carries what gateway processes tell each other of deployments to be left alone, over Redis."""

import asyncio
import logging
from collections.abc import Iterable
from typing import Protocol

from pydantic import ValidationError
from redis.asyncio import Redis
from redis.exceptions import RedisError

from sluice.clock import Clock
from sluice.queues import DEPLOYMENT_RESTED, DeploymentRested, rest_key, subscribe

_log = logging.getLogger(__name__)
_AGAIN_S = 0.5


class Cooldowns(Protocol):
    """What says and hears the messages."""

    shared: bool

    async def wanted(self) -> tuple[list[DeploymentRested], list[str]]:
        """Return the messages to send and the deployments to read of, waiting until there are any."""
        ...

    def undelivered(self, messages: Iterable[DeploymentRested], unread: Iterable[str]) -> None:
        """Take back what could not be sent or read."""
        ...

    def take(self, message: DeploymentRested) -> None:
        """Take over what another process said."""
        ...

    def known(self) -> list[str]:
        """Return the deployments to read of after a connection."""
        ...


class CooldownChannel:
    """Sends and follows; what is in force also lies in keys that expire with it, for processes that come later.

    Degraded mode: while Redis is away `shared` is false, and messages wait until it is back; one that is over by then is dropped.
    """

    def __init__(self, redis: Redis, cooldowns: Cooldowns, clock: Clock) -> None:
        self._redis = redis
        self._cooldowns = cooldowns
        self._clock = clock

    async def send(self) -> None:
        """Send what is to be said, until cancelled."""
        while True:
            messages, unread = await self._cooldowns.wanted()
            now = self._clock.now()
            messages = [message for message in messages if message.event == "closed" or message.until > now]
            try:
                await self._publish(messages, now)
                await self._read(unread)
            except (RedisError, OSError) as exc:
                if self._cooldowns.shared:
                    _log.warning("failing deployments cannot be told of (%s)", type(exc).__name__)
                self._cooldowns.shared = False
                self._cooldowns.undelivered(messages, unread)
                await asyncio.sleep(_AGAIN_S)
            else:
                self._cooldowns.shared = True

    async def follow(self) -> None:
        """Take over what other processes say, until cancelled."""
        async for message in subscribe(self._redis, DEPLOYMENT_RESTED, on_connect=self._connected):
            self._cooldowns.take(message)

    async def _connected(self) -> None:
        self._cooldowns.undelivered((), self._cooldowns.known())

    async def _publish(self, messages: list[DeploymentRested], now: float) -> None:
        if not messages:
            return
        async with self._redis.pipeline(transaction=False) as pipe:
            for message in messages:
                text = message.model_dump_json()
                key = rest_key(message.deployment)
                if message.event == "closed":
                    pipe.delete(key)
                else:
                    pipe.set(key, text, px=max(1, int((message.until - now) * 1000)))
                pipe.publish(DEPLOYMENT_RESTED.name, text)
            await pipe.execute()

    async def _read(self, deployments: list[str]) -> None:
        if not deployments:
            return
        for stored in await self._redis.mget([rest_key(name) for name in deployments]):
            if stored is not None:
                try:
                    self._cooldowns.take(DeploymentRested.model_validate_json(stored))
                except ValidationError:
                    _log.exception("what is stored of a resting deployment cannot be read")
