"""Leases: whatever processes do, and whatever answers are lost, they never spend more than the limit."""

from copy import deepcopy
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lease_bank import Bank

from sluice_gateway.domain.leases import (
    Ask,
    CounterName,
    Draws,
    Grant,
    Lease,
    Reservation,
    counter_key,
    counter_of,
    nano_dollars,
    reserve,
    window_at,
    window_of,
)

DAY = CounterName("key", "key_1", "day", 20_000)
MINUTE = CounterName("team", "team_1", "requests", 1_000)
PLACES = CounterName("key", "key_1", "concurrent", 0)
LIMIT = 1000


@dataclass
class Owner:
    """Notes what a lease tells."""

    ran_dry: list[int] = field(default_factory=list)
    came_back: int = 0
    alone: bool = False

    def dry(self, lease: Lease, amount: int) -> None:
        self.ran_dry.append(amount)

    def eased(self, lease: Lease) -> None:
        self.came_back += 1


def lease(name: CounterName = DAY, limit: int = LIMIT) -> Lease:
    return Lease(name, limit, float("inf"), Owner())


def draws(*leases: Lease) -> Draws:
    """Return what a request draws from, with each lease where its kind belongs."""

    def of(*kinds: str) -> tuple[Lease, ...]:
        return tuple(one for one in leases if one.name.kind in kinds)

    return Draws(
        float("inf"), of("requests", "concurrent"), of("requests"), of("concurrent"), of("tokens"), of("day", "month")
    )


@dataclass
class Process:
    """One gateway process with one budget."""

    bank: Bank
    life: str
    open: list[Reservation] = field(default_factory=list)
    spent: int = 0

    def __post_init__(self) -> None:
        self.lease = lease()
        self.bank.lives.add(self.life)

    def ask(self, needs: list[int], *, heard: bool = True) -> None:
        question = self.lease.asking(needs, 0.0)
        answer = self.bank.grant(self.life, question)
        if heard:
            self.lease.answered(question.mine or 0, answer)

    def reserve(self, amount: int) -> None:
        found = reserve(draws(self.lease), 0, amount)
        if found is None:
            self.ask([amount])
            found = reserve(draws(self.lease), 0, amount)
        if found is not None:
            self.open.append(found)

    def settle(self, share: int) -> None:
        if self.open:
            reservation = self.open.pop(0)
            used = reservation.money * share // 4
            self.spent += used
            reservation.settle(0, used)

    def tick(self, *, heard: bool) -> None:
        if self.lease.settle_down():
            self.ask([], heard=heard)


STEPS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from(["reserve", "reserve", "settle", "tick", "tick unheard", "ask unheard", "redis lost a second"]),
        st.integers(0, 300),
    ),
    max_size=60,
)


@given(STEPS)
@settings(max_examples=300)
def test_nobody_spends_more_than_the_limit_whatever_is_lost(steps: list[tuple[int, str, int]]) -> None:
    bank = Bank(seeded={DAY: 1})
    processes = [Process(bank, f"life_{number}") for number in range(3)]
    before = deepcopy(bank.counters)
    for number, what, amount in steps:
        process = processes[number]
        match what:
            case "reserve":
                before = deepcopy(bank.counters)
                process.reserve(amount)
            case "settle":
                process.settle(amount % 5)
            case "tick" | "tick unheard":
                process.tick(heard=what == "tick")
            case "ask unheard":
                process.ask([amount], heard=False)
            case _:
                # It grants nothing until all processes have told what they have.
                bank.counters = deepcopy(before)
                bank.settling = True
                for one in processes:
                    one.ask([])
                bank.settling = False
        committed = sum(one.spent + sum(open_.money for open_ in one.open) for one in processes)
        assert committed <= LIMIT
        assert all(one.lease.used == one.spent + sum(o.money for o in one.open) for one in processes)


def test_what_is_given_back_can_be_had_by_others_at_once() -> None:
    bank = Bank(seeded={DAY: 1})
    first, second = Process(bank, "a"), Process(bank, "b")
    first.reserve(900)
    second.reserve(900)
    assert not second.open
    first.settle(1)
    first.tick(heard=True)
    second.reserve(700)
    assert len(second.open) == 1


def test_the_last_units_are_not_held_by_a_process_that_does_not_need_them() -> None:
    bank = Bank(seeded={DAY: 1})
    one, other = Process(bank, "a"), Process(bank, "b")
    for _ in range(4):
        one.reserve(10)
    assert one.lease.held < LIMIT // 2
    one.reserve(900)
    assert one.lease.tight
    assert one.lease.left < 80
    other.reserve(10)
    assert len(other.open) == 1


def test_a_lease_asks_for_more_before_it_is_empty() -> None:
    one = lease()
    one.answered(0, Grant(100, 0, 900, 0, wanted=False, seeded=True))
    assert (one.free, one.back) == (50, 50)
    assert reserve(draws(one), 0, 50) is not None
    assert isinstance(one.owner, Owner)
    assert one.owner.ran_dry == []
    assert reserve(draws(one), 0, 45) is not None
    assert one.owner.ran_dry == [45]
    assert reserve(draws(one), 0, 45) is None
    assert one.held == 5


@pytest.mark.parametrize(("alone", "kept"), [(True, 1), (False, 0)])
def test_the_place_of_a_client_that_asks_again_and_again_is_kept_for_a_while_if_nobody_else_may_need_it(
    alone: bool, kept: int
) -> None:
    one = lease(PLACES)
    assert isinstance(one.owner, Owner)
    one.owner.alone = alone
    one.answered(0, Grant(1, 0, 9, 0, wanted=False, seeded=True))
    one.settle_down()
    assert one.held == kept
    for _ in range(4):
        one.settle_down()
    assert one.held == 0


def test_a_reservation_takes_from_all_leases_or_from_none() -> None:
    rate, places, budget = lease(MINUTE), lease(PLACES), lease()
    for one in (rate, places):
        one.answered(0, Grant(10, 0, 90, 0, wanted=False, seeded=True))
    assert reserve(draws(rate, places, budget), 0, 5) is None
    assert (rate.held, places.held) == (10, 10)
    budget.answered(0, Grant(5, 0, 0, 0, wanted=False, seeded=True))
    found = reserve(draws(rate, places, budget), 0, 5)
    assert found is not None
    assert (rate.held, places.held, budget.held) == (9, 9, 0)
    found.settle(0, 2)
    assert (rate.held, places.held, budget.held) == (9, 10, 3)
    assert (budget.open, rate.open) == (3, 9)


def test_a_debt_is_told_with_the_next_report() -> None:
    one = lease()
    one.answered(0, Grant(10, 0, 0, 0, wanted=False, seeded=True))
    found = reserve(draws(one), 0, 10)
    assert found is not None
    found.settle(0, 25)
    assert one.settle_down()
    assert one.asking([], 0.0).mine == 25


def test_a_process_takes_over_the_figure_that_the_store_has_for_it() -> None:
    one = lease()
    assert one.asking([5], 0.0).mine is None
    one.answered(0, Grant(5, 300, 100, 0, wanted=False, seeded=True))
    assert (one.granted, one.used, one.held) == (305, 300, 5)


def test_without_the_store_a_new_minute_has_what_the_last_whole_one_had() -> None:
    whole = lease(MINUTE)
    whole.answered(0, Grant(40, 0, 0, 0, wanted=False, seeded=True))
    partial = lease(MINUTE._replace(window=1001))
    partial.follows(whole)
    assert (partial.share, partial.share_of) == (40, 1000)
    after = lease(MINUTE._replace(window=1002))
    after.follows(partial)  # never granted anything: its own share goes on
    after.grant_share(last_contact=1001)
    assert after.held == 40
    late = lease(MINUTE._replace(window=1002))
    late.follows(partial)
    late.grant_share(last_contact=1002)  # the store was there since, and gave this process nothing
    assert late.held == 0


def test_busy_leases_grow_and_idle_ones_shrink_and_are_given_back() -> None:
    one = lease(limit=10**9)
    wants = [one.asking([1], now).want for now in (0.0, 0.1, 0.2, 0.3, 5.0, 10.0)]
    assert wants[0] == 8
    assert wants[3] > wants[1]
    assert wants[5] < wants[3]
    one.answered(0, Grant(1000, 0, 10**9, 0, wanted=False, seeded=True))
    assert one.settle_down()
    one.settle_down()
    assert (one.held, one.granted) == (0, 0)


@pytest.mark.parametrize(
    ("kind", "at", "number", "ends"),
    [
        ("requests", 59.9, 0, 60.0),
        ("tokens", 60.0, 1, 120.0),
        ("day", 86_400.0, 1, 172_800.0),
        ("month", 1_795_575_600.0, 2026 * 12 + 10, 1_796_083_200.0),
    ],
)
def test_windows_are_utc_minutes_days_and_months(kind: str, at: float, number: int, ends: float) -> None:
    window = window_at(kind, at)  # type: ignore[arg-type]
    assert (window.number, window.ends) == (number, ends)
    assert window.begins <= at < window.ends


@given(st.sampled_from(["day", "month"]), st.integers(0, 40_000))
def test_a_counter_is_found_again_by_its_name(kind: str, window: int) -> None:
    name = CounterName("organization", "org_1", kind, window + 24_000)  # type: ignore[arg-type]
    assert counter_of(counter_key(name)) == name
    found = window_of(name)
    assert window_at(name.kind, found.begins) == found


def test_money_is_rounded_up_to_nano_dollars() -> None:
    assert nano_dollars(0.0) == 0
    assert nano_dollars(0.0000000011) == 2
    assert nano_dollars(10.0) == 10_000_000_000
    assert nano_dollars(0.0000000123) == 13


def test_an_ask_for_nothing_needs_nothing() -> None:
    assert lease().asking([], 0.0) == Ask(DAY, None, 0, 0, 0, 0, LIMIT)
