"""What can go wrong with engines."""

from sluice.errors import Conflict, NotFound, SluiceError


class EngineNotFound(NotFound):
    """No engine of this host has the id."""

    code, title = "engine_not_found", "Engine not found"


class EngineNotOurs(Conflict):
    """The engine is run by something else, so it can only be watched."""

    code, title = "engine_not_ours", "Engine is run by something else"


class EngineFailed(SluiceError):
    """An engine could not be started, did not become ready, ended or stopped answering.

    `lasting` marks causes that trying again soon cannot cure, such as a missing model file.
    """

    status, code, title = 503, "engine_failed", "Engine failed"

    def __init__(self, detail: str, *, lasting: bool = False) -> None:
        super().__init__(detail)
        self.lasting = lasting
