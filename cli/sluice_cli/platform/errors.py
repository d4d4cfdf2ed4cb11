"""Errors that end a command with a plain sentence."""


class CommandFailed(Exception):
    """The command cannot go on; the text says what to do."""

    exit_status = 1


class NoVerdict(CommandFailed):
    """A command whose status 1 is an answer came to none."""

    exit_status = 2


class Refused(CommandFailed):
    """The platform refused a request; `said` is its own sentence, `status` that of HTTP."""

    def __init__(self, text: str, said: str, status: int) -> None:
        super().__init__(text)
        self.said = said
        self.status = status


class TypeRefused(Refused):
    """A file is of a type that the platform does not read."""
