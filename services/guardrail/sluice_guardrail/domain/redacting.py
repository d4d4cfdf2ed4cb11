"""Masks texts on request and puts their values back, outside the request path."""

from collections import Counter
from collections.abc import Sequence

from sluice.contracts.guard import CheckRequest, InputVerdict, RedactRequest, RestoreReply, RestoreRequest, VaultEntry
from sluice.masking import Vault
from sluice_guardrail.domain.check import NO_TOOLS, check, segment_with
from sluice_guardrail.domain.detectors import DETECTORS, Checkpoint
from sluice_guardrail.domain.errors import AmbiguousText
from sluice_guardrail.domain.names import PERSON
from sluice_guardrail.domain.policy import InjectionRules, InputRules, NamedPolicy
from sluice_guardrail.domain.scanners.rules import NEVER_SEVERE
from sluice_guardrail.domain.scanning import Tools


def masked(
    request: RedactRequest, policy: NamedPolicy, checkpoint: Checkpoint, tools: Tools = NO_TOOLS
) -> InputVerdict:
    """Return the verdict of a policy that masks everything that `policy` does not allow, and looks at nothing else.

    Raises:
        AmbiguousText: not exactly one of `text` and `segments` is given.
    """
    pii = policy.rules.input.pii
    allowed = {kind: "allow" for kind in DETECTORS if pii.action_for(kind) == "allow"}
    people = {PERSON: "mask"} if pii.action_for(PERSON) != "allow" else {}
    masks = {"action": "mask", "kinds": allowed | people, "severe_from": NEVER_SEVERE, "severe_action": None}
    rules = InputRules(
        pii=pii.model_copy(update=masks),
        injection=InjectionRules(action="allow"),
    )
    masking = NamedPolicy(policy.name, policy.hash, policy.rules.model_copy(update={"mode": "enforce", "input": rules}))
    asked = CheckRequest(stage="input", text=request.text, segments=request.segments)
    verdict = check(asked, masking, checkpoint, tools=tools)
    assert isinstance(verdict, InputVerdict)
    return verdict


def counted(entries: Sequence[VaultEntry]) -> dict[str, int]:
    """Return how many placeholders of each kind there are."""
    return dict(Counter(entry.placeholder[1:-1].rpartition("_")[0].lower() for entry in entries))


def restored(request: RestoreRequest, entries: Sequence[VaultEntry]) -> RestoreReply:
    """Return the texts with the values of a vault put back.

    Raises:
        AmbiguousText: not exactly one of `text` and `segments` is given.
    """
    if (request.text is None) == (request.segments is None):
        raise AmbiguousText("Give exactly one of `text` and `segments`.")
    vault = Vault(entries)
    if request.text is not None:
        return RestoreReply(text=vault.restore(request.text))
    return RestoreReply(
        segments=tuple(segment_with(segment, vault.restore(segment.text)) for segment in request.segments or ())
    )
