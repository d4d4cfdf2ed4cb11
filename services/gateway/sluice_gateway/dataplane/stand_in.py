"""What uvicorn sees in the place of its own cycle."""


class _Silence:
    """The event of a stand-in: nobody waits for it."""

    def set(self) -> None:
        """Do nothing."""


class StandIn:
    """What uvicorn sees in the place of its cycle while a request is on the short way."""

    __slots__ = ("disconnected", "keep_alive", "response_complete")
    message_event = _Silence()

    def __init__(self) -> None:
        self.response_complete = True
        self.disconnected = False
        self.keep_alive = True
