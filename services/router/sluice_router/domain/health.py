"""When a deployment counts as up or down."""

from dataclasses import dataclass, field

from sluice_router.domain.publication import HealthNote

FAILURES_TO_DOWN = 2
FAILURES_TO_SETTLE = 6


@dataclass(slots=True)
class HealthBook:
    """Turns probe results into health, with hysteresis: two failures in a row mean down, one success means up.

    The first result of a deployment counts at once, so that a platform that starts is not `unknown` for long.
    """

    notes: dict[str, HealthNote] = field(default_factory=dict)
    _failures: dict[str, int] = field(default_factory=dict)

    def note(self, deployment: str, problem: str | None) -> bool:
        """Take one result (None is success, a text says what was wrong); return whether the health changed."""
        before = self.notes.get(deployment, HealthNote())
        if problem is None:
            self._failures[deployment] = 0
            after = HealthNote(health="up")
        else:
            failures = self._failures.get(deployment, 0) + 1
            self._failures[deployment] = failures
            first = before.health == "unknown"
            down = first or failures >= FAILURES_TO_DOWN or before.health == "down"
            after = HealthNote(health="down", reason=problem) if down else before
        self.notes[deployment] = after
        return after.health != before.health

    def is_unsettled(self, deployment: str) -> bool:
        """Tell whether it failed only a few times so far, as one that is just starting does."""
        return 0 < self._failures.get(deployment, 0) < FAILURES_TO_SETTLE

    def forget_except(self, known: set[str]) -> None:
        """Drop deployments that are no longer configured."""
        for gone in set(self.notes) - known:
            del self.notes[gone]
            self._failures.pop(gone, None)
