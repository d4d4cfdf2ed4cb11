"""What can go wrong in evaluation."""

from sluice.errors import (
    BadRequest,
    Conflict,
    DependencyUnavailable,
    Forbidden,
    NotFound,
    PayloadTooLarge,
    UnsupportedMediaType,
)


class SuiteInvalid(BadRequest):
    """The suite cannot be used; the sentence names the item."""

    code, title = "eval_invalid", "Suite not usable"


class SuiteTooLarge(PayloadTooLarge):
    """The suite is over the configured size."""

    code, title = "eval_too_large", "Suite too large"


class SuiteMediaType(UnsupportedMediaType):
    """The suite came in a form that is not read."""

    code, title = "eval_media_type", "Suite in an unknown form"


class SuiteNotFound(NotFound):
    """The tenant has no suite of this id."""

    code, title = "eval_not_found", "Suite not found"


class RunNotFound(NotFound):
    """The suite has no run of this id."""

    code, title = "eval_run_not_found", "Run not found"


class ScheduleNotFound(NotFound):
    """The suite has no schedule."""

    code, title = "eval_schedule_not_found", "Schedule not found"


class NoBiasAudit(BadRequest):
    """The run is not one of a bias audit."""

    code, title = "eval_no_bias_audit", "Not a bias audit"


class SuiteBusy(Conflict):
    """The suite has runs that have not ended."""

    code, title = "eval_busy", "Suite has active runs"


class RunEnded(Conflict):
    """The run has ended already."""

    code, title = "eval_run_ended", "Run has ended"


class RunKeyMissing(BadRequest):
    """Nobody said on behalf of which API key the run asks the gateway."""

    code, title = "eval_api_key_missing", "API key of the run missing"


class RunKeyForbidden(Forbidden):
    """A caller with an API key of its own named another one."""

    code, title = "eval_api_key_forbidden", "API key of another"


class QueueAway(DependencyUnavailable):
    """The job queue cannot be reached."""

    code, title = "eval_queue_away", "Job queue not reachable"
