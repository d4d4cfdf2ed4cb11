"""When an engine counts as starting, ready, failed or in a crash loop: a pure state machine.

Every function takes a `Life` and the time and returns the next `Life`; the keeper does what it says.
"""

from dataclasses import dataclass, field, replace

from sluice.contracts.engine import EngineState


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """How failures are answered; times are seconds.

    The pause before a restart doubles from `first_pause_s` to `longest_pause_s`. `crash_limit` failures within
    `crash_window_s` are a crash loop: the engine is still tried, with the longest pause, so that it comes back by
    itself when the cause is gone.
    """

    first_pause_s: float = 0.5
    longest_pause_s: float = 30.0
    crash_limit: int = 5
    crash_window_s: float = 120.0
    probe_limit: int = 3


@dataclass(frozen=True, slots=True)
class Life:
    """Where an engine stands; times are unix seconds, `failures` only those inside the crash window."""

    state: EngineState = "stopped"
    reason: str | None = None
    restarts: int = 0
    failures: tuple[float, ...] = field(default=())
    missed_probes: int = 0
    retry_at: float | None = None
    started_at: float | None = None
    ready_at: float | None = None


def started(life: Life, now: float) -> Life:
    """Its process is being started; a crash loop is over only when it becomes ready."""
    state: EngineState = "crash_loop" if life.state == "crash_loop" else "starting"
    return replace(life, state=state, started_at=now, ready_at=None, retry_at=None, missed_probes=0)


def became_ready(life: Life, now: float) -> Life:
    """It generated a token."""
    return replace(life, state="ready", reason=None, ready_at=now, retry_at=None, missed_probes=0)


def failed(life: Life, reason: str, now: float, policy: RestartPolicy, *, lasting: bool = False) -> Life:
    """It ended, hung or could not start; the answer is a restart after a pause, or a crash loop.

    A `lasting` cause (a missing file, a taken port) is a crash loop at once: trying again soon cannot help.
    """
    recent = (*(at for at in life.failures if now - at < policy.crash_window_s), now)[-policy.crash_limit :]
    looping = lasting or len(recent) >= policy.crash_limit
    pause = policy.longest_pause_s if looping else pause_after(len(recent), policy)
    return replace(
        life,
        state="crash_loop" if looping else "restarting",
        reason=reason,
        restarts=life.restarts + 1,
        failures=recent,
        retry_at=now + pause,
        ready_at=None,
        missed_probes=0,
    )


def pause_after(failures: int, policy: RestartPolicy) -> float:
    """Return the pause before the next start after so many failures in the window."""
    return min(policy.first_pause_s * 2.0 ** max(0, failures - 1), policy.longest_pause_s)


def probe_answered(life: Life) -> Life:
    """It answered a health question."""
    return life if life.missed_probes == 0 else replace(life, missed_probes=0, reason=None)


def probe_missed(life: Life, reason: str) -> Life:
    """It did not answer a health question in time."""
    return replace(life, missed_probes=life.missed_probes + 1, reason=reason)


def is_hung(life: Life, policy: RestartPolicy) -> bool:
    """Tell whether so many health questions in a row went unanswered that it must be restarted."""
    return life.missed_probes >= policy.probe_limit


def stopping(life: Life) -> Life:
    """It takes no new work and finishes what it has."""
    return replace(life, state="stopping", retry_at=None)


def stopped(life: Life, reason: str | None = None) -> Life:
    """Its process has ended because someone asked for it."""
    return replace(
        life,
        state="stopped",
        reason=reason,
        failures=(),
        retry_at=None,
        ready_at=None,
        started_at=None,
        missed_probes=0,
    )


def asked_to_restart(life: Life) -> Life:
    """An operator wants it now: earlier failures no longer count."""
    return replace(life, state="starting", failures=(), retry_at=None, reason="restart was asked for")
