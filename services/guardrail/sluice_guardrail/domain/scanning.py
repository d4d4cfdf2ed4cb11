"""Runs the scanners that a policy switches on over one text, and says what a broken or late one means."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from sluice.contracts.guard import IssueAction
from sluice.errors import SluiceError
from sluice_guardrail.domain.findings import Finding
from sluice_guardrail.domain.folding import Folded
from sluice_guardrail.domain.scanners.code import find_code
from sluice_guardrail.domain.scanners.invisible import find_invisible_text
from sluice_guardrail.domain.scanners.language import Languages, find_languages
from sluice_guardrail.domain.scanners.length import find_length
from sluice_guardrail.domain.scanners.rules import ScannerRules, Scanners
from sluice_guardrail.domain.scanners.topics import find_topics
from sluice_guardrail.domain.scanners.urls import find_urls

_log = logging.getLogger(__name__)


class Scanned(NamedTuple):
    """A finding of a scanner with its issue code and what the policy does about it; spans count the original text."""

    finding: Finding
    code: str
    action: IssueAction


@dataclass(frozen=True, slots=True)
class Tools:
    """What scanners need besides the text: a model of languages, and whether the time for scanning is over.

    Degraded mode: a scanner that raises, and one whose turn comes too late, counts as its rules' `on_error` says.
    """

    languages: Languages | None = None
    is_late: Callable[[], bool] = lambda: False


def scan(text: str, folded: Folded, scanners: Scanners, tools: Tools) -> list[Scanned]:
    """Return what the scanners of a policy find in a text."""
    found: list[Scanned] = []
    for rules, look in _asked(text, folded, scanners, tools):
        found.extend(_scanned(rules, look, tools))
    return found


class _Look(NamedTuple):
    name: str
    code: str
    find: Callable[[], Iterator[Finding]]
    folded: Folded | None = None


def _asked(text: str, folded: Folded, wanted: Scanners, tools: Tools) -> Iterator[tuple[ScannerRules, _Look]]:
    if (length := wanted.length) is not None:
        yield length, _Look("length", "too_long", lambda: find_length(text, length))
    if (invisible := wanted.invisible_text) is not None:
        yield invisible, _Look("invisible_text", "invisible_text", lambda: find_invisible_text(text))
    if (urls := wanted.urls) is not None:
        yield urls, _Look("urls", "url_detected", lambda: find_urls(folded.text, urls), folded)
    if (topics := wanted.topics) is not None:
        yield topics, _Look("topics", "topic_detected", lambda: find_topics(folded.text, topics), folded)
    if (code := wanted.code) is not None:
        yield code, _Look("code", "code_detected", lambda: find_code(text))
    languages = tools.languages
    if (language := wanted.language) is not None and languages is not None:
        yield language, _Look("language", "language_detected", lambda: find_languages(text, language, languages))


def _scanned(rules: ScannerRules, look: _Look, tools: Tools) -> Iterator[Scanned]:
    if tools.is_late():
        yield _failure(rules, look, "late")
        return
    try:
        findings = list(look.find())
    except SluiceError:
        raise
    except Exception:  # noqa: BLE001 - a scanner's own mistake must not become a pass or a 500: the policy says what it means
        _log.exception("scanner %s is broken", look.name)
        yield _failure(rules, look, "broken")
        return
    for finding in findings:
        action = rules.action_for(finding.score)
        if action is not None:
            yield Scanned(_in_original(finding, look.folded), look.code, action)


def _in_original(finding: Finding, folded: Folded | None) -> Finding:
    if folded is None:
        return finding
    start, end = folded.original_span(finding.start, finding.end)
    return replace(finding, start=start, end=end)


def _failure(rules: ScannerRules, look: _Look, kind: str) -> Scanned:
    finding = Finding("failure", look.name, kind, 0, 0, 1.0, "the scanner gave no verdict")
    return Scanned(finding, "check_failed", "block" if rules.on_error == "closed" else "flag")
