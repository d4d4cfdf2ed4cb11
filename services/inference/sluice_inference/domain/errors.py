"""What can go wrong with engines."""

from sluice.errors import Conflict, NotFound, SluiceError, Unprocessable


class EngineNotFound(NotFound):
    """No engine of this host has the id."""

    code, title = "engine_not_found", "Engine not found"


class EngineNotOurs(Conflict):
    """The engine is run by something else, so it can only be watched."""

    code, title = "engine_not_ours", "Engine is run by something else"


class ScalingGroupNotFound(NotFound):
    """engines.yaml names no such scaling group."""

    code, title = "scaling_group_not_found", "Scaling group not found"


class AdapterNotFound(NotFound):
    """No engine of this host holds the adapter."""

    code, title = "adapter_not_found", "Adapter not found"


class AdapterRefused(Unprocessable):
    """The adapter cannot be loaded: no engine takes it, or it does not fit."""

    code, title = "adapter_refused", "Adapter cannot be loaded"


class EngineFailed(SluiceError):
    """An engine could not be started, did not become ready, ended or stopped answering.

    `lasting` marks causes that trying again soon cannot cure, such as a missing model file.
    """

    status, code, title = 503, "engine_failed", "Engine failed"

    def __init__(self, detail: str, *, lasting: bool = False) -> None:
        super().__init__(detail)
        self.lasting = lasting
