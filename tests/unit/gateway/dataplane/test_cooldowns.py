"""What a process says of a failing deployment, and what it makes of what others say."""

from gateway_parts import deployment

from sluice.queues import DeploymentRested
from sluice.telemetry.metrics import MetricRegistry
from sluice.testing import FakeClock
from sluice_gateway.dataplane.cooldowns import Cooldowns
from sluice_gateway.dataplane.deployments import DeploymentState, choose, choose_resting
from sluice_gateway.dataplane.deps import Options
from sluice_gateway.metrics import GatewayMetrics

OPTIONS = Options()


class NoUpstream:
    """An upstream that is never called."""


class Process:
    """One gateway process, with one deployment."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.state = DeploymentState(deployment("d", "http://h/v1"), ("/v1", ""), NoUpstream())
        self.cooldowns = Cooldowns(clock, OPTIONS, GatewayMetrics(MetricRegistry()))
        self.cooldowns.use([self.state])

    def fail(self) -> None:
        self.state.failed(self.clock.monotonic(), OPTIONS.cooldown_s, OPTIONS.max_cooldown_s)
        self.cooldowns.failed(self.state)

    async def said(self) -> list[DeploymentRested]:
        messages, _ = await self.cooldowns.wanted()
        return messages

    @property
    def rests(self) -> float:
        return self.state.paused_until - self.clock.monotonic()


async def test_a_breaker_opens_for_all_and_its_owner_tries_first() -> None:
    clock = FakeClock()
    owner, other = Process(clock), Process(clock)
    owner.fail()
    owner.fail()
    assert await owner.said() == [], "one or two failures are this process's own affair"
    owner.fail()
    (opened,) = await owner.said()
    assert (opened.event, opened.failures, opened.until) == ("opened", 3, clock.now() + 8.0)
    other.cooldowns.take(opened)
    owner.cooldowns.take(opened)
    assert owner.rests == 8.0
    assert 9.0 <= other.rests <= 10.0
    assert choose([other.state], clock.monotonic()) is None
    assert choose_resting([other.state], set()) is other.state, "the last resort of others too"

    clock.advance(8.0)
    assert choose([owner.state], clock.monotonic()) is owner.state
    assert choose([other.state], clock.monotonic()) is None
    owner.cooldowns.trying(owner.state)
    assert choose([owner.state], clock.monotonic()) is None, "one request tries"
    (trial,) = await owner.said()
    other.cooldowns.take(trial)
    assert trial.event == "trial"
    assert other.rests >= 3.0

    owner.state.succeeded()
    (closed,) = await owner.said()
    other.cooldowns.take(closed)
    assert closed.event == "closed"
    assert other.state.failures == owner.state.failures == 0
    assert other.rests <= 0
    owner.state.succeeded()
    other.cooldowns.undelivered([], ["d"])
    assert await other.said() == [], "what others said is not said again"


async def test_when_the_owner_is_gone_another_tries_and_tells() -> None:
    clock = FakeClock()
    owner, other = Process(clock), Process(clock)
    for _ in range(3):
        owner.fail()
    other.cooldowns.take((await owner.said())[0])
    await other.said()
    clock.advance(11.0)
    assert choose([other.state], clock.monotonic()) is other.state
    other.cooldowns.trying(other.state)
    other.state.succeeded()
    assert [message.event for message in await other.said()] == ["closed"]


async def test_a_rate_limit_is_told_and_is_no_failure() -> None:
    clock = FakeClock()
    owner, other = Process(clock), Process(clock)
    owner.state.rate_limited(clock.monotonic(), 7.0)
    owner.cooldowns.limited(owner.state)
    (limited,) = await owner.said()
    other.cooldowns.take(limited)
    assert (other.rests, other.state.failures) == (7.0, 0)


async def test_what_is_over_unknown_or_absurd_is_not_taken() -> None:
    clock = FakeClock()
    process = Process(clock)
    process.cooldowns.take(DeploymentRested(deployment="x", event="opened", until=clock.now() + 5))
    process.cooldowns.take(DeploymentRested(deployment="d", event="opened", until=clock.now() - 1, failures=3))
    assert process.rests <= 0
    process.cooldowns.take(DeploymentRested(deployment="d", event="limited", until=clock.now() + 1e9))
    assert process.rests == OPTIONS.max_cooldown_s


async def test_an_undelivered_message_waits_and_gives_way_to_a_newer_one() -> None:
    clock = FakeClock()
    process = Process(clock)
    for _ in range(3):
        process.fail()
    messages, unread = await process.cooldowns.wanted()
    assert unread == ["d"]
    process.state.succeeded()
    process.cooldowns.undelivered(messages, unread)
    messages, unread = await process.cooldowns.wanted()
    assert ([message.event for message in messages], unread) == (["closed"], ["d"])
