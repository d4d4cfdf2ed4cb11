"""What the holder of an API key may do, by the key's role. This is the one place that decides it."""

from collections.abc import Mapping
from typing import Literal

from sluice.contracts.gateway import KeyRole

Action = Literal["read", "use", "administer"]
"""`read` lists models and usage, `use` is everything else below /v1, `administer` is everything below /admin."""

PERMITTED: Mapping[KeyRole, frozenset[Action]] = {
    "read_only": frozenset({"read"}),
    "member": frozenset({"read", "use"}),
    "admin": frozenset({"read", "use", "administer"}),
}


def refusal(role: KeyRole, action: Action) -> str:
    """Return the sentence for a key whose role does not permit the action."""
    if action == "administer":
        return (
            f"This API key has the role {role}; the admin API takes keys with the role admin, for their own "
            "organisation, and the platform's administrator key."
        )
    return "This API key is read-only: it may list models and read usage. Use a key with the role member for this."
