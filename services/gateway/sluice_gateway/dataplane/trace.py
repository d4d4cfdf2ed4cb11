"""What is kept of a traced request while it is on the short way."""

from sluice_gateway.dataplane.deployments import DeploymentState


class Trace:
    """The ids of a request's span and of its call's, and the call's times (the clock of `ctx.started`)."""

    __slots__ = ("answered", "call_id", "called", "parent_id", "span_id", "state", "trace_id")

    def __init__(self, trace_id: int, parent_id: int | None, span_id: int) -> None:
        self.trace_id = trace_id
        self.parent_id = parent_id
        self.span_id = span_id
        self.state: DeploymentState | None = None
        self.call_id = 0
        self.called = 0.0
        self.answered = 0.0
