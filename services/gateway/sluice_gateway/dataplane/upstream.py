"""The interface of upstream clients: one call, one reply, streamed or whole."""

from collections.abc import Callable
from typing import Literal, NamedTuple, Protocol

# what a stream may be sent as: server-sent events, the frames of AWS, and sound
EVENT_STREAMS = (b"text/event-stream", b"application/vnd.amazon.eventstream", b"audio/", b"application/octet-stream")


def content_type(value: bytes) -> bytes:
    """Return a content type with its media type in small letters, since capitals mean the same; parameters stay as they are."""
    if value.islower():
        return value  # as most are
    media_type, semicolon, parameters = value.partition(b";")
    return media_type.strip().lower() + semicolon + parameters


Reason = Literal[
    "connect", "connect_timeout", "certificate", "proxy", "reset", "protocol", "timeout", "too_large", "cancelled"
]


class UpstreamError(Exception):
    """An upstream did not answer as it should; `reason` is one of a closed set, so that it can be a metric's label."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason: Reason = reason


class Carrier(Protocol):
    """The connection that carries a call at the moment."""

    def cancel(self) -> None:
        """Stop, or leave the rest to whoever takes it."""
        ...

    def wait(self, seconds: float) -> None:
        """Wait so long for the rest."""
        ...


class Call:
    """One POST to an upstream; `headers` are those that not every call has.

    `timeout_s` bounds the wait for a whole answer, or for the first bytes of a stream, `idle_s` each pause inside a stream;
    `deadline` (the loop's clock) bounds everything. `cancel` may be called at any time, from any callback. `rest` is what is left of
    a call that was sent and is waited for no longer, be it cancelled or out of time: it closes by itself unless somebody takes it.
    """

    __slots__ = ("body", "cancelled", "carrier", "connect_timeout_s", "deadline", "headers", "idle_s", "path", "request_id", "rest",
                 "timeout_s")  # fmt: skip

    def __init__(
        self,
        path: str,
        body: bytes | memoryview,
        headers: tuple[tuple[str, str], ...],
        request_id: str,
        connect_timeout_s: float,
        timeout_s: float,
        deadline: float | None,
        idle_s: float | None = None,
    ) -> None:
        self.path = path
        self.body = body
        self.headers = headers
        self.request_id = request_id
        self.connect_timeout_s = connect_timeout_s
        self.timeout_s = timeout_s
        self.deadline = deadline
        self.idle_s = timeout_s if idle_s is None else idle_s
        self.cancelled = False
        self.carrier: Carrier | None = None
        self.rest: Rest | None = None

    def cancel(self) -> None:
        """Wait no longer: whoever waits gets `UpstreamError("cancelled")`; the connection of a stream is closed."""
        self.cancelled = True
        if self.carrier is not None:
            self.carrier.cancel()


class FormCall(Call):
    """A call whose body is a form: `lead` goes out first, and then the files in `body`."""

    __slots__ = ("lead",)
    lead: bytes


class StreamSink(Protocol):
    """Takes a stream as it comes, called from the connection that carries it."""

    def data(self, data: bytes) -> None:
        """Take what one read of the connection brought."""
        ...

    def chunks(self, data: bytes) -> bool:
        """Take one read that was whole chunks of HTTP's chunked coding, as it came; False leaves it to `data`."""
        ...

    def end(self) -> None:
        """Note the regular end."""
        ...

    def broken(self, reason: Reason) -> None:
        """Note that nothing more will come, and why."""
        ...


class ReplyStream(Protocol):
    """The body of a streamed reply, read by a coroutine."""

    async def read(self) -> bytes:
        """Return all that has come since the last read, waiting if nothing has; b"" at the end.

        Raises:
            UpstreamError: the stream broke before its end.
        """
        ...

    def close(self) -> None:
        """Stop reading; a stream that is not at its end takes its connection with it."""
        ...


class DirectStream(ReplyStream, Protocol):
    """A stream that can be handed on by callbacks instead of being read."""

    def attach(self, sink: StreamSink) -> None:
        """Hand on all that comes from now on; to be called when the stream is got, before anything was read."""
        ...

    def pause(self) -> None:
        """Stop reading from the upstream until `resume`."""
        ...

    def resume(self) -> None:
        """Read on."""
        ...

    def drain(self, seconds: float) -> None:
        """Throw away what still comes, for so long, and keep the connection if the stream ends within that time."""
        ...


class UpstreamReply(NamedTuple):
    """What an upstream answered: `body` is whole, or b"" while `stream` carries server-sent events."""

    status: int
    content_type: bytes
    retry_after: bytes | None
    body: bytes
    stream: ReplyStream | None


class Receiver(Protocol):
    """Takes the reply to a submitted call; exactly one of the three is called, once, and never from within `submit`."""

    def replied(self, reply: UpstreamReply) -> None:
        """Take the reply; its stream, if it has one, is a `DirectStream`."""
        ...

    def failed(self, reason: Reason) -> None:
        """Note that there will be no reply, and why."""
        ...

    def stale(self) -> None:
        """Note that the upstream had closed its kept connection before the call reached it: it can be sent again."""
        ...


class Rest:
    """The receiver of a reply that nobody waits for: it waits a second to be taken, and then as long as it is told to."""

    __slots__ = ("_carrier", "_listener", "_outcome")

    def __init__(self, carrier: Carrier) -> None:
        self._carrier = carrier
        self._listener: Callable[[UpstreamReply | Reason], None] | None = None
        self._outcome: UpstreamReply | Reason | None = None

    def take(self, seconds: float, listener: Callable[[UpstreamReply | Reason], None]) -> None:
        """Wait so long; `listener` gets the whole reply, or why there is none, once, and at once if that is known already."""
        if self._outcome is not None:
            listener(self._outcome)
            return
        self._listener = listener
        self._carrier.wait(seconds)

    def close(self) -> None:
        """Close the connection; nobody is told."""
        self._listener = None
        if self._outcome is None:
            self._carrier.cancel()

    def replied(self, reply: UpstreamReply) -> None:
        """Take the reply; a stream was not asked for."""
        if reply.stream is not None:
            reply.stream.close()
            self._tell("protocol")
        else:
            self._tell(reply)

    def failed(self, reason: Reason) -> None:
        """Note that there will be no reply."""
        self._tell(reason)

    def stale(self) -> None:
        """Note that the call has not reached the upstream."""
        self._tell("reset")

    def _tell(self, outcome: UpstreamReply | Reason) -> None:
        self._outcome = outcome
        listener, self._listener = self._listener, None
        if listener is not None:
            listener(outcome)


class Upstream(Protocol):
    """A client for one origin (scheme, host and port)."""

    def submit(self, call: Call, receiver: Receiver) -> bool:
        """Send a call if that needs no waiting, and tell whether it was sent; its reply goes to `receiver`."""
        ...

    async def send(self, call: Call) -> UpstreamReply:
        """Send a call and return its reply.

        Raises:
            UpstreamError: no reply, or none that can be understood.
        """
        ...

    async def close(self) -> None:
        """Close idle connections now and busy ones when their reply is complete."""
        ...
