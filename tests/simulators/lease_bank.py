"""A store of leases in memory, with the rules of the real one: what many processes share, for tests that need no Redis."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from sluice.errors import DependencyUnavailable
from sluice_gateway.domain.leases import BUDGETS, Ask, CounterName, Grant
from sluice_gateway.domain.ports import Exchange


@dataclass
class Bank:
    """The counters; each has, for each life, what it was granted and what of that may come back."""

    counters: dict[CounterName, dict[str, tuple[int, int]]] = field(default_factory=dict)
    spent: dict[CounterName, dict[str, int]] = field(default_factory=dict)
    seeded: dict[CounterName, int] = field(default_factory=dict)  # in which run
    wanted: dict[CounterName, str] = field(default_factory=dict)
    lives: set[str] = field(default_factory=set)
    run: int = 1
    settling: bool = False

    def opened(self, life: str) -> "Counter":
        """Return the store as one process sees it."""
        return Counter(self, life)

    def grant(self, life: str, ask: Ask) -> Grant:
        """Answer one ask."""
        fields = self.counters.setdefault(ask.name, {})
        granted, back_from_it = fields.get(life, (0, 0))
        earlier = max(0, granted - back_from_it)
        mine = earlier if ask.mine is None else ask.mine
        others = sum(amount for other, (amount, _) in fields.items() if other != life)
        elsewhere = sum(back for other, (_, back) in fields.items() if other != life)
        left = ask.limit - others - mine
        seeded = ask.name.kind not in BUDGETS or self.seeded.get(ask.name) == self.run
        amount = 0
        if seeded and not self.settling and left >= ask.least and ask.need + ask.want > 0:
            amount = min(left, max(ask.need, min(ask.want, left // (2 * len(self.lives)))))
        wanted = self.wanted.get(ask.name, life) != life
        if ask.need > amount:
            self.wanted[ask.name] = life
        elif self.wanted.get(ask.name) == life:
            del self.wanted[ask.name]
        fields[life] = (mine + amount, ask.open + amount)
        return Grant(amount, earlier if ask.mine is None else 0, left - amount, elsewhere, wanted, seeded)


@dataclass
class Counter:
    """One process's way to the bank; it can be away."""

    bank: Bank
    life: str
    away: bool = False
    asked: list[Ask] = field(default_factory=list)

    async def exchange(self, asks: Sequence[Ask]) -> Exchange:
        """Answer one round."""
        if self.away:
            raise DependencyUnavailable("The bank is closed.")
        self.asked += asks
        self.bank.lives.add(self.life)
        grants = tuple(self.bank.grant(self.life, ask) for ask in asks)
        return Exchange(f"run{self.bank.run}", self.bank.settling, len(self.bank.lives), grants)

    async def seed(self, names: Sequence[CounterName]) -> None:
        """Take over what was spent before."""
        if self.away:
            raise DependencyUnavailable("The bank is closed.")
        for name in names:
            fields = self.bank.counters.setdefault(name, {})
            for life, amount in self.bank.spent.get(name, {}).items():
                granted, back = fields.get(life, (0, 0))
                spent = max(amount, granted - back)
                fields[life] = (max(granted, spent), max(granted, spent) - spent)
            self.bank.seeded[name] = self.bank.run
