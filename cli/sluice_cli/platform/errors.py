"""Errors that end a command with a plain sentence."""


class CommandFailed(Exception):
    """The command cannot go on; the text says what to do."""


class TypeRefused(CommandFailed):
    """A file is of a type that the platform does not read."""
