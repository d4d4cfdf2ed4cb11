"""Errors that end a command with a plain sentence."""


class CommandFailed(Exception):
    """The command cannot go on; the text says what to do."""
