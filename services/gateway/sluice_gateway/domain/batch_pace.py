"""How fast a batch may ask: slower when it is refused, faster again while it is answered."""

from dataclasses import dataclass

_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 60.0
_SLOWEST = 1.0


@dataclass(slots=True)
class Pace:
    """How many requests of one API key for one model may be under way: additive increase, multiplicative decrease.

    The rule by which TCP shares a line (Chiu and Jain, 1989): each refusal halves what may be under way and pauses for as long as
    the answer asks, or else twice as long as the last time; each answer adds the inverse of the limit, so that a round of
    answers adds one.
    """

    most: int
    limit: float
    resting_until: float = 0.0
    refusals: int = 0

    @classmethod
    def starting(cls, most: int) -> "Pace":
        """Begin with half of what may be under way at most."""
        return cls(most, max(_SLOWEST, most / 2))

    def allows(self, under_way: int, now: float) -> bool:
        """Tell whether one more request may go out."""
        return now >= self.resting_until and under_way < max(1, int(self.limit))

    def answered(self) -> None:
        """Note an answer."""
        self.refusals = 0
        self.limit = min(float(self.most), self.limit + 1 / self.limit)

    def refused(self, now: float, asked_s: float | None) -> None:
        """Note a refusal; several that come while it rests already count as one."""
        pause = min(_LONGEST_PAUSE_S, max(asked_s or 0.0, _FIRST_PAUSE_S * 2.0 ** min(self.refusals, 10)))
        if now >= self.resting_until:
            self.refusals += 1
            self.limit = max(_SLOWEST, self.limit / 2)
        self.resting_until = max(self.resting_until, now + pause)
