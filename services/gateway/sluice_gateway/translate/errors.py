"""What can go wrong in a translation."""


class Untranslatable(Exception):
    """The request says something that the other side has no counterpart for; it is the caller's to change (400)."""

    def __init__(self, param: str, rule: str, code: str = "unsupported_value") -> None:
        super().__init__(f"`{param}` {rule}")
        self.param = param
        self.code = code
        self.message = f"`{param}` {rule}"


class BadAnswer(Exception):
    """A provider answered with something that cannot be understood; it counts as a failed attempt."""
