"""Errors that the guardrail answers with."""

from sluice.errors import NotFound, PayloadTooLarge, Unprocessable


class UnknownPolicy(NotFound):
    """The request names a policy that is not in guard.yaml."""

    code, title = "unknown_policy", "Unknown policy"


class AmbiguousText(Unprocessable):
    """Not exactly one of `text` and `segments` was given."""

    code, title = "text_or_segments", "Give text or segments"


class TooMuchText(PayloadTooLarge):
    """The segments together are over the configured number of characters."""

    code, title = "too_much_text", "Too much text"


class UnreadableVault(Unprocessable):
    """A sealed vault does not open."""

    code, title = "vault_unreadable", "The vault does not open"


class UnreadableApproval(Unprocessable):
    """A sealed approval does not open."""

    code, title = "approval_unreadable", "The approval does not open"


class WrongPolicy(Unprocessable):
    """A policy that is to be tried is not right."""

    code, title = "wrong_policy", "The policy is not right"
