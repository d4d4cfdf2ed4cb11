"""Finds topics by the phrases that a policy lists for them."""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

from sluice_guardrail.domain.findings import Finding
from sluice_guardrail.domain.scanners.rules import TopicRules
from sluice_guardrail.domain.skeleton import lowered


def find_topics(text: str, rules: TopicRules) -> Iterator[Finding]:
    """Yield phrases of denied topics in a folded text; and the whole text, if it touches none of the allowed ones.

    One phrase of a topic scores 0.6; each other one leaves a third of the doubt.
    """
    low = lowered(text)
    for topic, phrases in rules.deny.items():
        found = list(_pattern(phrases).finditer(low))
        score = round(1 - 0.4 * (1 / 3) ** (len({match.group() for match in found}) - 1), 4)
        for match in found:
            yield Finding("topic", "topics", topic, match.start(), match.end(), score, "a phrase of a denied topic")
    if rules.allow and text.strip() and not any(_pattern(phrases).search(low) for phrases in rules.allow.values()):
        yield Finding("topic", "topics", "off_topic", 0, len(text), 0.6, "no phrase of an allowed topic")


@lru_cache(maxsize=512)
def _pattern(phrases: Sequence[str]) -> re.Pattern[str]:
    longest_first = sorted(phrases, key=len, reverse=True)
    return re.compile(
        r"(?<!\w)(?:" + "|".join(re.escape(phrase).replace(r"\ ", r"\s{1,4}") for phrase in longest_first) + r")(?!\w)"
    )
