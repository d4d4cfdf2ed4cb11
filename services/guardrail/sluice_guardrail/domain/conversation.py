"""Reads the last turns of a user as one text: an attack may be cut into turns of which none is one (handbook F124).

Values that a request puts into the system message of a prompt are read so too, and together with the user's last turn. Only what
reaches over a border between texts counts: what stands in one was judged there.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import NamedTuple

from sluice.contracts.guard import Segment
from sluice_guardrail.domain.findings import Finding
from sluice_guardrail.domain.folding import Folded
from sluice_guardrail.domain.injection import LEARNED, score_injection
from sluice_guardrail.domain.policy import DEFINITION_ROLE, FOREIGN_ROLES, VARIABLE_ROLE, InjectionRules, Policy
from sluice_guardrail.domain.second import Cascade

OVER_TURNS = "over_turns"
MAX_CHARACTERS = 4000
MAX_VALUE = 1000
"""A longer value (a profile, a document) is not read together with a turn: it is judged by itself."""

_BETWEEN = " "


class Together(NamedTuple):
    """Texts of a check (by number) that are read as one, and the rules for it.

    Of what only the trained readings see the score must be above `surer`, where that is given. With a `border` only that counts which reaches
    over it: from the texts before the one of this place in the group to those from there on.
    """

    texts: tuple[int, ...]
    rules: InjectionRules
    surer: float | None = None
    border: int | None = None


class Part(NamedTuple):
    """What a turn holds of a finding: the number of the turn, counted from the first that was given."""

    turn: int
    finding: Finding


def read_together(segments: Sequence[Segment], policy: Policy, *, turns: bool) -> Iterator[Together]:
    """Yield what of an input is read as one text: the user's last turns, the values of a prompt's variables, and these with the last turn."""
    rules, of_values = policy.input.injection, policy.rules_for(VARIABLE_ROLE).injection
    if rules.turns < 2:
        return
    others = (*rules.trusted_roles, *FOREIGN_ROLES, DEFINITION_ROLE, VARIABLE_ROLE)
    said = [at for at, segment in enumerate(segments) if turns and segment.role not in others]
    values = [at for at, segment in enumerate(segments) if segment.role == VARIABLE_ROLE]
    if len(said) > 1 and rules.action != "allow":
        yield Together(tuple(said[-rules.turns :]), rules)
    if not values or of_values.action == "allow":
        return
    # An attacker may fill in any values of a message, first or last: all are read. A persona or a rule among them gives
    # orders of its own, so that they must look more like an attack than turns.
    surer = rules.threshold + (1 - rules.threshold) / 3
    if len(values) > 1:
        yield Together(tuple(values), of_values.model_copy(update={"threshold": surer}))
    short = tuple(at for at in values if len(segments[at].text) <= MAX_VALUE)
    if short and said:
        # Phrases that reach over this border are rarely chance; what the trained readings see there may be a persona's order.
        yield Together((*short, *_last_turn(segments, said)), of_values, surer, len(short))


def _last_turn(segments: Sequence[Segment], said: Sequence[int]) -> list[int]:
    """Return the texts of the user's last turn: those after which nobody else says anything before its last one."""
    own, turn = frozenset(said), [said[-1]]
    for at in range(said[-1] - 1, -1, -1):
        if at in own:
            turn.insert(0, at)
        elif segments[at].role not in (DEFINITION_ROLE, VARIABLE_ROLE):
            break
    return turn


def find_over_turns(
    turns: Sequence[str],
    threshold: float,
    head: Cascade | None,
    *,
    surer: float | None = None,
    border: int | None = None,
) -> Iterator[Part]:
    """Yield the parts of an attack that reaches over several of the folded `turns`, of which the last `MAX_CHARACTERS` are read; `surer` and `border` are those of `Together`."""
    read = _last(turns)
    first = len(turns) - len(read)
    if len(read) < 2 or (border is not None and not first < border < len(turns)):
        return
    ends = list(accumulate(len(text) + len(_BETWEEN) for text in read))
    starts = [0, *ends[:-1]]
    result = score_injection(Folded(_BETWEEN.join(read)), head)
    sure = result.score > (threshold if surer is None else surer)
    if not sure and result.by_phrases <= threshold:
        return
    for finding in result.findings:
        touched = [
            at for at in range(len(read)) if finding.start < ends[at] - len(_BETWEEN) and finding.end > starts[at]
        ]
        if len(touched) < 2 or (finding.kind == LEARNED and not sure):
            continue
        if border is not None and not first + touched[0] < border <= first + touched[-1]:
            continue
        for at in touched:
            span = max(finding.start - starts[at], 0), min(finding.end - starts[at], len(read[at]))
            reason = f"together with {len(touched) - 1} other turns"
            part = replace(finding, kind=OVER_TURNS, start=span[0], end=span[1], score=result.score, reason=reason)
            yield Part(first + at, part)


def _last(turns: Sequence[str]) -> list[str]:
    kept: list[str] = []
    room = MAX_CHARACTERS
    for text in reversed(turns):
        room -= len(text) + len(_BETWEEN)
        if room < 0:
            break
        kept.insert(0, text)
    return kept
