"""What the guardrail gave no answer to: counted, and told in the log where no request can mend it."""

import logging
import math
from typing import Literal

from sluice.errors import SluiceError
from sluice_gateway.dataplane.deps import DataPlaneDeps
from sluice_gateway.dataplane.errors import lacks_guard_policy

_QUIET_S = 60.0  # a warning for each request would be no warning
_log = logging.getLogger(__name__)


class GuardTrouble:
    """Counts the questions of one stage that failed; a guard policy that is not there is named in the log, once a minute."""

    def __init__(self, deps: DataPlaneDeps, stage: Literal["guard_input", "guard_output", "moderation"]) -> None:
        self._deps = deps
        self._stage = stage
        self._quiet_until = -math.inf

    def note(self, exc: Exception, policy: str | None, guard_policy: str) -> None:
        """Note one failure under a policy, whatever becomes of the request."""
        self._deps.metrics.stage_errors.labels(self._stage).inc()
        now = self._deps.clock.monotonic()
        if not isinstance(exc, SluiceError) or not lacks_guard_policy(exc) or now < self._quiet_until:
            return
        self._quiet_until = now + _QUIET_S
        _log.warning(
            "the policy %r names the guard policy %r, and guard.yaml has none of this name: nothing is checked under it",
            policy,
            guard_policy,
        )
