"""Leases: what one process may spend of a limit before it has to ask the store again. Arithmetic only.

A counter is one limit of one level in one window of time. The store keeps for each process how much that process was granted
of it: what it has spent, what its requests have reserved, and what it holds idle. The process's own figure is the true one.
"""

from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple, Protocol

from sluice_gateway.domain.limits import Level

Kind = Literal["requests", "tokens", "concurrent", "day", "month"]
BUDGETS = frozenset({"day", "month"})
RATES = frozenset({"requests", "tokens"})
NANO = 1_000_000_000
_MINUTE_S = 60
_DAY_S = 86_400
_HABIT = 8
_QUICK_S = 1.0  # a lease that lasts less is asked to be larger, one that lasts longer than the next half as large
_SLOW_S = 4.0
_LEAP = 8  # by which a lease grows at most at once
_IDLE_TICKS = 4
_TICKS = 8  # of use that is kept when a process has more, where nobody else needs it: as much as a lease may last


class Window(NamedTuple):
    """A span of time that is counted for itself, in UTC: its number, and its first and last moment in unix seconds."""

    number: int
    begins: float
    ends: float


_ALWAYS = Window(0, 0.0, float("inf"))


def window_at(kind: Kind, at: float) -> Window:
    """Return the window of a kind of limit at a time (unix seconds)."""
    if kind in RATES:
        number = int(at // _MINUTE_S)
        return Window(number, number * _MINUTE_S, (number + 1) * _MINUTE_S)
    if kind == "day":
        number = int(at // _DAY_S)
        return Window(number, number * _DAY_S, (number + 1) * _DAY_S)
    if kind == "month":
        then = datetime.fromtimestamp(at, UTC)
        return month_window(then.year * 12 + then.month - 1)
    return _ALWAYS


def month_window(number: int) -> Window:
    """Return a month by its number: the year times twelve, and the months of the year that are over."""
    return Window(number, _first_of(number), _first_of(number + 1))


def _first_of(month: int) -> float:
    return datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC).timestamp()


class CounterName(NamedTuple):
    """Which counter it is."""

    level: Level
    holder: str
    kind: Kind
    window: int


def counter_key(name: CounterName) -> str:
    """Return a counter's name as one text."""
    return f"{name.level}:{name.holder}:{name.kind}:{name.window}"


def counter_of(key: str) -> CounterName:
    """Return the counter of a text that `counter_key` made."""
    level, holder, kind, window = key.split(":")
    return CounterName(level, holder, kind, int(window))  # type: ignore[arg-type] # written by `counter_key` only


def window_of(name: CounterName) -> Window:
    """Return the window of a budget's counter."""
    if name.kind == "month":
        return month_window(name.window)
    return Window(name.window, float(name.window * _DAY_S), float((name.window + 1) * _DAY_S))


def nano_dollars(dollars: float) -> int:
    """Return an amount in whole nano-dollars, rounded up: what is charged is never less than what was used."""
    return int(dollars * NANO + 0.999)


class Ask(NamedTuple):
    """What a process tells and asks of the store about one counter.

    `mine` is what it was granted in all, None when it does not know of an earlier figure; `open` is the part that is not spent for good
    and may come back; `need` is what waits, `least` the smallest piece of that which helps, `want` what would be good to have.
    """

    name: CounterName
    mine: int | None
    open: int
    need: int
    least: int
    want: int
    limit: int


class Grant(NamedTuple):
    """What the store answers.

    `amount` comes on top of what was told; `earlier` is what the store knows to be spent by a process that told no figure; `left` is what
    nobody holds, below 0 what all hold beyond the limit, as when it was lowered; `elsewhere` what may come back from others; `wanted` says
    that others wait. A counter that is not `seeded` gives nothing yet.
    """

    amount: int
    earlier: int
    left: int
    elsewhere: int
    wanted: bool
    seeded: bool


class LeaseOwner(Protocol):
    """Who sees to it that leases are filled."""

    @property
    def alone(self) -> bool:
        """Whether no other process is known to use the same counters."""
        ...

    def dry(self, lease: "Lease", amount: int) -> None:
        """Note that a lease runs low; the last request took `amount`."""
        ...

    def eased(self, lease: "Lease") -> None:
        """Note that something came back to a lease of a counter of which little is left."""
        ...


class Lease:
    """This process's part of one counter, in whole units: requests, tokens, slots or nano-dollars.

    `free` may be taken at once. `back` is held as well; taking from it asks for more, so that a busy lease is filled before it is
    empty. An amount that turns out larger than what was reserved makes `free` negative: a debt, which the next report tells. `tight` says that little is
    left of the whole counter: nothing is held then that no request needs, so that the last units go to whoever asks.
    """

    __slots__ = ("__weakref__", "amount", "asked_at", "back", "calm", "contended", "elsewhere", "ends", "free", "granted", "known", "left",
                 "limit", "name", "on_release", "owner", "queue", "seeded", "sent", "share", "share_of", "size", "spent", "tight",
                 "used_before")  # fmt: skip

    def __init__(self, name: CounterName, limit: int, ends: float, owner: LeaseOwner) -> None:
        self.name = name
        self.limit = limit
        self.ends = ends
        self.owner = owner
        self.free = self.back = self.granted = self.spent = 0
        self.left = self.elsewhere = self.size = self.amount = self.used_before = self.calm = 0
        self.sent: int | None = None
        self.known = self.contended = self.tight = False
        self.seeded = True
        self.asked_at = float("-inf")
        self.on_release: Callable[[Lease], None] | None = None
        self.queue: deque[Any] = deque()
        self.share = 0  # of a rate: what this process had in the last whole minute
        self.share_of = -1

    def limited_to(self, limit: int) -> None:
        """Take over a limit that may have changed; of a lower one the store says how much there is before any more is used."""
        if limit < self.limit:
            if self.held > 0:
                self.give_up(self.held)
            self.sent = None
        self.limit = limit

    @property
    def held(self) -> int:
        """What is here and not in use."""
        return self.free + self.back

    @property
    def used(self) -> int:
        """What is spent or reserved."""
        return self.granted - self.free - self.back

    @property
    def open(self) -> int:
        """What may come back: what is idle, and what is reserved and not settled."""
        if self.name.kind == "requests":
            return max(0, self.held)
        return max(0, self.granted - self.spent)

    @property
    def remaining(self) -> int:
        """What this process knows to be left of the limit."""
        left = self.free + self.back + self.left
        return left if left > 0 else 0

    def tops_up(self, amount: int) -> bool:
        """Take the second part of the lease into use, and ask for more; False when even so there is too little."""
        if self.free + self.back < amount:
            return False
        self.free += self.back
        self.back = 0
        self.owner.dry(self, amount)
        return True

    def runs_low(self) -> bool:
        """Tell whether it is in use, a quarter empty and may be filled up: what is asked for anyway can be asked with it."""
        if self.calm or self.contended or self.tight or not self.known or self.name.kind == "concurrent":
            return False
        return 4 * self.held < 3 * self.size

    def wants(self, amount: int, now: float) -> int:
        """Return how much to ask for after a request for `amount`: more when it has just asked, less when long ago."""
        since = now - self.asked_at
        self.asked_at = now
        if since < _QUICK_S:
            self.size = int(self.size * max(2.0, _QUICK_S / max(since, _QUICK_S / _LEAP)))  # what would have lasted
        elif since > _SLOW_S:
            self.size //= 2
        self.size = min(self.limit, max(self.size, amount * _HABIT))
        if self.contended or self.tight:
            return 0
        return 2 * amount if self.name.kind == "concurrent" else self.size

    def asking(self, needs: list[int], now: float) -> Ask:
        """Return what is told and asked; `needs` is what requests wait for, 0 of one that only found the lease half empty."""
        want = 0
        if needs:
            self.amount = max(needs) or self.amount
            want = self.wants(self.amount, now)
        least = min((need for need in needs if need), default=0)
        mine, open_ = (self.granted, self.open) if self.known else (None, 0)
        return Ask(self.name, mine, open_, sum(needs), least, want, self.limit)

    def answered(self, told: int, grant: Grant) -> None:
        """Take what the store gives; `told` is what it was told this process has."""
        if not self.known:
            self.granted += grant.earlier
            self.spent += grant.earlier
            told = grant.earlier
            self.known = True
        given_up = told - self.granted
        self.sent = told + grant.amount
        self.granted += grant.amount
        held = self.held + grant.amount
        whole = held <= 0 or self.name.kind == "concurrent"
        self.back = 0 if whole else held // 2
        self.free = held - self.back
        self.left = grant.left + given_up
        self.elsewhere, self.contended, self.seeded = grant.elsewhere, grant.wanted, grant.seeded
        self.tight = grant.left < self.amount * _HABIT

    def settle_down(self) -> bool:
        """Give back what lies idle, and own up to debts; True when the store has to be told. Called twice a second."""
        held = self.held
        if held < 0:
            self.granted -= held
            self.free = self.back = held = 0
        used = self.used
        grown = used - self.used_before
        self.used_before = used
        self.calm = 0 if grown > 0 else self.calm + 1
        if self.contended or self.tight:
            keep = 0
        elif grown > 0:
            keep = grown * _TICKS
        else:
            keep = held // 2 if self.calm == 1 or self.name.kind == "concurrent" else 0
            if keep == 0 and self.calm < _IDLE_TICKS and self.name.kind == "concurrent" and self.owner.alone:
                keep = 1  # the place of a client that asks one thing after the other
        surplus = held - keep
        if surplus > 0 and surplus * 4 >= held:
            self.give_up(surplus)
        return self.contended or self.granted != self.sent

    def give_up(self, amount: int) -> None:
        """Hold that much less; the store learns of it with the next report."""
        self.granted -= amount
        held = self.held - amount
        self.back = 0
        self.free = held

    def give_up_excess(self) -> None:
        """Hold no place that is free here while all processes have more than the limit allows."""
        excess = min(-self.left, self.free)
        if excess > 0:
            self.give_up(excess)
            self.left += excess

    def grant_share(self, last_contact: int) -> None:
        """Take what this process had in the last whole minute, when the store cannot be asked (rates only)."""
        if not self.known and self.granted == 0 and self.share_of >= last_contact - 1:
            self.granted = self.free = min(self.share, self.limit)

    def follows(self, previous: "Lease") -> None:
        """Remember, as the lease of a new minute, what the process had in the one before."""
        if previous.known:
            self.share, self.share_of = previous.granted, previous.name.window
        else:
            self.share, self.share_of = previous.share, previous.share_of


class Draws(NamedTuple):
    """All leases from which the requests of one key draw until the minute ends.

    `units` are those from which a request takes one: requests a minute, and slots; `slots` come back at its end. `most_tokens` is the
    smallest limit of tokens a minute.
    """

    until: float
    units: tuple[Lease, ...]
    requests: tuple[Lease, ...]
    slots: tuple[Lease, ...]
    tokens: tuple[Lease, ...]
    money: tuple[Lease, ...]
    most_tokens: int | None = None

    @property
    def priced(self) -> bool:
        """Whether it matters how much a request may use."""
        return bool(self.tokens or self.money)


class Reservation:
    """What one request has taken: one of each unit, and so many tokens and nano-dollars."""

    __slots__ = ("draws", "money", "tokens")

    def __init__(self, draws: Draws, tokens: int, money: int) -> None:
        self.draws = draws
        self.tokens = tokens
        self.money = money

    def part(self, tokens: int, money: int) -> "Reservation":
        """Take so much out of it, at most what it has, into one of its own, which holds no place."""
        tokens, money = min(self.tokens, tokens), min(self.money, money)
        self.tokens -= tokens
        self.money -= money
        return Reservation(self.draws._replace(slots=()), tokens, money)

    def settle(self, tokens: int, money: int) -> None:
        """Give back what was not used, or take what was used beyond it."""
        draws = self.draws
        for lease in draws.slots:
            lease.free += 1
            if lease.on_release is not None:
                lease.on_release(lease)
        spare = self.tokens - tokens
        for lease in draws.tokens:
            lease.free += spare
            lease.spent += tokens
            if lease.tight:
                lease.owner.eased(lease)
        spare = self.money - money
        for lease in draws.money:
            lease.free += spare
            lease.spent += money
            if lease.tight:
                lease.owner.eased(lease)


def reserve(draws: Draws, tokens: int, money: int) -> Reservation | None:
    """Take all that a request may need, or nothing (None) when one of the leases has too little."""
    for lease in draws.units:
        if lease.free < 1 and not lease.tops_up(1):
            _put_back(draws, lease, tokens, money)
            return None
        lease.free -= 1
    for lease in draws.tokens:
        if lease.free < tokens and not lease.tops_up(tokens):
            _put_back(draws, lease, tokens, money)
            return None
        lease.free -= tokens
    for lease in draws.money:
        if lease.free < money and not lease.tops_up(money):
            _put_back(draws, lease, tokens, money)
            return None
        lease.free -= money
    return Reservation(draws, tokens, money)


def _put_back(draws: Draws, short: Lease, tokens: int, money: int) -> None:
    # What was taken of the leases before the one that has too little.
    for leases, amount in ((draws.units, 1), (draws.tokens, tokens), (draws.money, money)):
        for lease in leases:
            if lease is short:
                return
            lease.free += amount


def lacking(draws: Draws, requests: int, tokens: int, money: int) -> list[tuple[Lease, int]]:
    """Return the leases that have too little for an amount of requests, tokens and money, with that amount."""
    wanted = ((draws.requests, requests), (draws.tokens, tokens), (draws.money, money))
    return [(lease, amount) for leases, amount in wanted for lease in leases if lease.held < amount]


def take(draws: Draws, requests: int, tokens: int, money: int) -> None:
    """Take an amount of requests, tokens and money, which must be there; slots are taken one by one."""
    for leases, amount in ((draws.requests, requests), (draws.tokens, tokens), (draws.money, money)):
        for lease in leases:
            if lease.free < amount:
                lease.tops_up(amount)
            lease.free -= amount
