"""Gives each detector its turn, says what a broken or late one means, and runs the scanners that a policy switches on."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, TypeVar

from sluice.contracts.guard import IssueAction
from sluice.errors import SluiceError
from sluice_guardrail.domain.findings import Finding
from sluice_guardrail.domain.folding import Folded
from sluice_guardrail.domain.foreign_scanners import issue_of
from sluice_guardrail.domain.grounding import find_unsupported
from sluice_guardrail.domain.judging import Begun, JudgeQuestion, Judges, JudgeTask, NoJudge
from sluice_guardrail.domain.names import Names
from sluice_guardrail.domain.remembering import Remembered
from sluice_guardrail.domain.scanners.code import find_code
from sluice_guardrail.domain.scanners.harm import find_harm
from sluice_guardrail.domain.scanners.invisible import find_invisible_text
from sluice_guardrail.domain.scanners.language import Languages, find_languages
from sluice_guardrail.domain.scanners.length import find_length
from sluice_guardrail.domain.scanners.rules import LlmGuardRules, OnError, OutputScanners, ScannerRules, Scanners
from sluice_guardrail.domain.scanners.topics import find_topics
from sluice_guardrail.domain.scanners.urls import find_urls

T = TypeVar("T")
DetectorOutcome = Literal["ok", "late", "broken"]

_log = logging.getLogger(__name__)


class Scanned(NamedTuple):
    """A finding of a scanner with its issue code and what the policy does about it; spans count the original text."""

    finding: Finding
    code: str
    action: IssueAction


class DetectorRun(NamedTuple):
    """What became of one detector's turn at one text, and how many seconds it took."""

    detector: str
    outcome: DetectorOutcome
    seconds: float


@dataclass(frozen=True, slots=True)
class Tools:
    """What detectors need besides the text: a model of languages, whether time is over, a clock in seconds, who notes each turn, who asks models, a model of names, and what was found in
    definitions before, for a tenant.

    `is_late` is for scanners, `is_over` for every detector. Degraded mode: a detector that raises, and one whose turn comes too late,
    counts as its rules' `on_error` says.
    """

    languages: Languages | None = None
    is_late: Callable[[], bool] = lambda: False
    is_over: Callable[[], bool] = lambda: False
    now: Callable[[], float] = lambda: 0.0
    note: Callable[[DetectorRun], object] = lambda run: None
    judges: Judges | None = None
    names: Names | None = None
    remembered: Remembered | None = None
    tenant: str = ""


def take_turn(
    detector: str, on_error: OnError, tools: Tools, find: Callable[[], Iterable[T]], *, late: bool = False
) -> list[T] | Scanned:
    """Return what a detector finds in a text, or what it means that it found nothing out.

    Detectors that compute take their turns one after the other: side by side on one CPU each would only end later. One that has
    begun is not interrupted, and what it finds counts.
    """
    if late or tools.is_over():
        tools.note(DetectorRun(detector, "late", 0.0))
        return _failure(detector, on_error, "late")
    began = tools.now()
    try:
        found = list(find())
    except SluiceError:
        raise
    except TimeoutError:
        tools.note(DetectorRun(detector, "late", tools.now() - began))
        return _failure(detector, on_error, "late")
    except Exception:  # noqa: BLE001 - a detector's own mistake must not become a pass or a 500: the policy says what it means
        _log.exception("detector %s is broken", detector)
        tools.note(DetectorRun(detector, "broken", tools.now() - began))
        return _failure(detector, on_error, "broken")
    tools.note(DetectorRun(detector, "ok", tools.now() - began))
    return found


class Beside(NamedTuple):
    """What comes along with an answer so that it can be judged: the question, and the texts that it was made from."""

    question: str = ""
    context: tuple[str, ...] = ()


ALONE = Beside()


class _Look(NamedTuple):
    name: str
    code: str | Callable[[str], str]
    find: Callable[[], Iterable[Finding]]
    folded: Folded | None = None


class Scan(NamedTuple):
    """What the scanners of a policy say of a text: what has consequences, and all that they scored.

    `harm` has the score of each category of harm that has any, `sentences` each sentence that was held against the context.
    """

    decided: list[Scanned]
    harm: dict[str, float]
    sentences: list[Finding]


class Asked(NamedTuple):
    """A model that is being asked about a text: by which rules, and what waits for its findings."""

    rules: ScannerRules
    look: _Look


def ask_models(text: str, scanners: Scanners, tools: Tools, role: str, beside: Beside) -> tuple[Asked, ...]:
    """Start asking the models that a policy wants asked about a text, so that they answer while detectors compute."""
    return tuple(
        Asked(
            rules, _Look(task, code, _begun(tools, JudgeQuestion(task, text, role, *beside, model, _unwanted(rules))))
        )
        for task, rules, code, model in _models(scanners, role, beside)
        if text.strip()
    )


def _unwanted(rules: ScannerRules) -> tuple[str, ...]:
    return rules.unwanted if isinstance(rules, LlmGuardRules) else ()


def _begun(tools: Tools, question: JudgeQuestion) -> Begun:
    return _nobody if tools.judges is None else tools.judges.begin(question)


def _nobody() -> Sequence[Finding]:
    raise NoJudge


def _models(
    scanners: Scanners, role: str, beside: Beside
) -> Iterator[tuple[JudgeTask, ScannerRules, str | Callable[[str], str], str | None]]:
    if (harm := scanners.harm_model) is not None and role not in harm.skip_roles:
        yield "harm_model", harm, harm.issue_for, harm.model
    if (attack := scanners.injection_model) is not None and role not in attack.skip_roles:
        yield "injection_model", attack, "prompt_injection", attack.model
    if (foreign := scanners.llm_guard) is not None and role not in foreign.skip_roles:
        yield "llm_guard", foreign, issue_of, None
    if not isinstance(scanners, OutputScanners):
        return
    if (grounded := scanners.groundedness_model) is not None and beside.context:
        yield "groundedness_model", grounded, "potential_hallucination", grounded.model
    if (second := scanners.second_opinion) is not None and beside.question:
        yield "second_opinion", second, "disputed_answer", second.model


def scan(
    text: str,
    folded: Folded,
    scanners: Scanners,
    tools: Tools,
    role: str = "user",
    beside: Beside = ALONE,
    asked: Sequence[Asked] = (),
) -> Scan:
    """Return what the scanners of a policy find in a text; an answer is held against what comes `beside` it, and `asked` models are waited for."""
    found = Scan([], {}, [])
    context = beside.context
    for rules, look in _asked(text, folded, scanners, tools, role):
        _scan(rules, look, tools, found)
    if context and isinstance(scanners, OutputScanners) and (grounded := scanners.groundedness) is not None:
        look = _Look("groundedness", "potential_hallucination", lambda: find_unsupported(text, context))
        _scan(grounded, look, tools, found)
    for rules, look in asked:
        _scan(rules, look, tools, found, late=False)  # they have run beside the others, with a limit of their own
    return found


def _asked(
    text: str, folded: Folded, wanted: Scanners, tools: Tools, role: str
) -> Iterator[tuple[ScannerRules, _Look]]:
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
    if (harm := wanted.harm) is not None and role not in harm.skip_roles:
        yield harm, _Look("harm", harm.issue_for, lambda: find_harm(folded.skeleton), folded)
    languages = tools.languages
    if (language := wanted.language) is not None and languages is not None:
        yield language, _Look("language", "language_detected", lambda: find_languages(text, language, languages))


def _scan(rules: ScannerRules, look: _Look, tools: Tools, into: Scan, *, late: bool | None = None) -> None:
    findings = take_turn(look.name, rules.on_error, tools, look.find, late=tools.is_late() if late is None else late)
    if isinstance(findings, Scanned):
        into.decided.append(findings)
        return
    for finding in findings:
        if finding.category == "harm":
            into.harm[finding.kind] = max(finding.score, into.harm.get(finding.kind, 0.0))
        if finding.category in ("grounding", "support"):
            into.sentences.append(finding)
        if finding.category == "support":
            continue  # the spans in the sentence have the consequences
        action = rules.action_for(finding.score, finding.kind)
        if action is not None:
            code = look.code if isinstance(look.code, str) else look.code(finding.kind)
            into.decided.append(Scanned(_in_original(finding, look.folded), code, action))


def _in_original(finding: Finding, folded: Folded | None) -> Finding:
    return finding if folded is None else as_written(finding, folded)


def as_written(finding: Finding, folded: Folded) -> Finding:
    """Return the finding with its span in the text that was folded."""
    start, end = folded.original_span(finding.start, finding.end)
    return replace(finding, start=start, end=end)


def _failure(detector: str, on_error: OnError, kind: Literal["late", "broken"]) -> Scanned:
    finding = Finding("failure", detector, kind, 0, 0, 1.0, "the detector gave no verdict")
    return Scanned(finding, "check_failed", "block" if on_error == "closed" else "flag")
