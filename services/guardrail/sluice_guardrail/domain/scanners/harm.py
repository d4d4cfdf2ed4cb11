"""Scores texts for harm by category: harassment, hate, self-harm, sexual, violence, illicit (handbook F265, F269).

Phrases, not meanings: what is said in words that no rule knows is not found. Each phrase is weighed by its sentence: a wish counts in
full, talk about harm, prevention and care counts little.
"""

import re
from collections.abc import Iterator

from sluice_guardrail.domain.findings import Finding
from sluice_guardrail.domain.gates import NeedleGates
from sluice_guardrail.domain.scanners.harm_phrases import (
    ASKS,
    ASKS_ABOUT,
    ASKS_HOW,
    PRETENDS,
    RULES,
    SAYS,
    SPARES,
    HarmRule,
)

_ASKED_FOR = {
    needle: tuple(at for at, rule in enumerate(RULES) if needle in rule.needles)
    for needle in frozenset(needle for rule in RULES for needle in rule.needles)
}
_NEEDLES = NeedleGates(frozenset(_ASKED_FOR))
_SENTENCE_END = re.compile(r"[.!?\n]")
_REACH = 300  # characters on each side that a phrase's sentence may have
_UNASKED = 0.5
_SPARED = 0.45
_QUOTES = "\"'\u201c\u2018\u00ab\u201e"
_MEANT = frozenset(
    {"calls_for", "threat", "insult", "abuse", "urges", "intent", "acts"}
)  # talk about it has other words
_DEPICTED = frozenset({"violence", "violence/graphic", "illicit/violent"})
_DEPICTING = frozenset({"persons", "wish", "praise", "gore"})
_REASONS = {True: "a wish for it", False: "a phrase of it"}


def find_harm(plain: str) -> Iterator[Finding]:
    """Yield phrases of harm in the skeleton of a folded text, each with its category as `kind` and its own score from 0 to 1."""
    present = _NEEDLES.opened_by(plain)
    if not present:
        return
    for at in sorted({at for needle in present for at in _ASKED_FOR[needle]}):
        rule = RULES[at]
        if not rule.gate.open_for(plain):
            continue
        for match in rule.pattern.finditer(plain):
            score, asked = _weighed(rule, plain, match)
            yield Finding("harm", "harm", rule.category, match.start(), match.end(), score, _REASONS[asked])


def _weighed(rule: HarmRule, text: str, match: re.Match[str]) -> tuple[float, bool]:
    start = _start(text, match.start())
    sentence = text[start : _end(text, match.end())]
    score, asked = rule.weight, False
    if rule.asked:
        # A wish stands before what is wished for.
        asks = ASKS_HOW if rule.category == "self-harm/instructions" else ASKS
        asked = asks.search(text, start, match.end()) is not None
        score *= 1.0 if asked else _UNASKED
    spared = rule.name not in _MEANT and SPARES.search(sentence) is not None
    pretended = rule.category in _DEPICTED and rule.name in _DEPICTING and PRETENDS.search(sentence) is not None
    quoted = (
        rule.name in _MEANT
        and match.start() > 0
        and text[match.start() - 1] in _QUOTES
        and (SAYS.search(text, start, match.start()) or ASKS_ABOUT.search(text, start, match.start()))
    )
    return round(score * (_SPARED if spared or pretended or quoted else 1.0), 4), asked


def _start(text: str, at: int) -> int:
    low = max(0, at - _REACH)
    ends = [found.end() for found in _SENTENCE_END.finditer(text, low, at)]
    return ends[-1] if ends else low


def _end(text: str, at: int) -> int:
    high = min(len(text), at + _REACH)
    found = _SENTENCE_END.search(text, at, high)
    return high if found is None else found.start()
