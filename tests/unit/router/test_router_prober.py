"""Probes of deployments: each at its own pace, and none waits for another."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

from sluice.auth import ServiceTokens
from sluice.clients.http import HttpAnswer
from sluice.contracts.routing import DeploymentAuth
from sluice.secrets import ProviderSecrets
from sluice_router.adapters.prober import Prober
from sluice_router.domain.config import HealthCheck
from sluice_router.domain.publication import Probed


class Hosts:
    """Hosts that answer, refuse or hang as the test says; counts the probes of each."""

    def __init__(self) -> None:
        self.refusing: set[str] = set()
        self.hanging: dict[str, asyncio.Event] = {}
        self.asked: list[str] = []
        self.held = asyncio.Event()

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, timeout_s: float
    ) -> HttpAnswer:
        host = url.removeprefix("http://")
        self.asked.append(host)
        if host in self.hanging:
            self.held.set()
            await self.hanging[host].wait()
        if host in self.refusing:
            raise ConnectionError(url)
        return HttpAnswer(200, {}, b"{}")

    async def close(self) -> None:
        """Nothing is open."""


class Told:
    """Notes what was known at each change of health."""

    def __init__(self, hosts: Hosts, tmp_path: Path, ids: list[str], every_s: float = 0.01) -> None:
        self.ids = ids
        self.seen: list[dict[str, str]] = []
        self.news = asyncio.Event()
        self.prober = Prober(
            transport=hosts,
            tokens=ServiceTokens("s" * 32, "router"),
            secrets=ProviderSecrets(tmp_path),
            targets=lambda: [
                Probed(id=one, url=f"http://{one}", auth=DeploymentAuth(), check=HealthCheck()) for one in self.ids
            ],
            changed=self.changed,
            counted=lambda _: None,
            every_s=every_s,
            starting_s=0.01,
        )

    def healths(self) -> dict[str, str]:
        return {name: note.health for name, note in self.prober.book.notes.items()}

    async def changed(self) -> None:
        self.seen.append(self.healths())
        self.news.set()

    async def until_told(self) -> dict[str, str]:
        async with asyncio.timeout(60):
            await self.news.wait()
        self.news.clear()
        return self.seen[-1]


async def test_one_that_hangs_does_not_delay_what_is_known_of_the_others(tmp_path: Path) -> None:
    hosts = Hosts()
    told = Told(hosts, tmp_path, ["a", "b", "c"])
    running = asyncio.create_task(told.prober.run())
    async with asyncio.timeout(60):
        await told.prober.first_round.wait()
    hosts.hanging["c"] = asyncio.Event()
    async with asyncio.timeout(60):
        await hosts.held.wait()
    probed = hosts.asked.count("c")
    hosts.refusing.add("b")
    assert await told.until_told() == {"a": "up", "b": "down", "c": "up"}
    hosts.refusing.clear()
    assert await told.until_told() == {"a": "up", "b": "up", "c": "up"}
    assert hosts.asked.count("c") == probed, "one that is being asked is not asked again meanwhile"
    hosts.refusing.add("c")
    hosts.hanging.pop("c").set()
    assert await told.until_told() == {"a": "up", "b": "up", "c": "down"}
    told.ids.remove("c")
    while "c" in told.healths():
        await asyncio.sleep(0.005)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_nothing_is_told_before_each_was_asked_once(tmp_path: Path) -> None:
    hosts = Hosts()
    hosts.hanging["b"] = asyncio.Event()
    told = Told(hosts, tmp_path, ["a", "b"])
    first = asyncio.create_task(told.prober.round())
    while told.healths() != {"a": "up"}:
        await asyncio.sleep(0)
    assert not told.prober.first_round.is_set()
    hosts.hanging["b"].set()
    await first
    assert told.healths() == {"a": "up", "b": "up"}
    assert told.prober.first_round.is_set()
    assert told.seen == []


async def test_only_what_may_be_starting_is_asked_often(tmp_path: Path) -> None:
    hosts = Hosts()
    hosts.refusing.add("b")
    told = Told(hosts, tmp_path, ["a", "b"], every_s=60)
    running = asyncio.create_task(told.prober.run())
    while hosts.asked.count("b") < 2:
        await asyncio.sleep(0.01)
    assert hosts.asked.count("a") == 1
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
