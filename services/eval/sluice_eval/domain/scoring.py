"""From an answer to a verdict: exact match, pattern, JSON schema."""

import re
import unicodedata
from typing import NamedTuple

from sluice.contracts.evals import EvalItem, ExactScorer, JsonSchemaScorer, Outcome, RegexScorer
from sluice_eval.domain.errors import SuiteInvalid
from sluice_eval.domain.json_answers import (
    CannotBeChecked,
    NoJson,
    SchemaInvalid,
    check_schema,
    find_json,
    first_problem,
)
from sluice_eval.domain.patterns import PatternInvalid, compile_pattern

MAX_SCORED = 200_000
_ARTICLES = re.compile(r"\b(a|an|the)\b", re.IGNORECASE)
_SHOWN = 120


class Verdict(NamedTuple):
    """How an answer came out, and why in one sentence."""

    outcome: Outcome
    reason: str


def check_item(item: EvalItem, where: str) -> None:
    """Accept an item whose `expected` fits its scorer.

    Raises:
        SuiteInvalid: it does not; the sentence begins with `where`.
    """
    scorer, expected = item.scorer, item.expected
    try:
        match scorer:
            case ExactScorer():
                if isinstance(expected, dict):
                    raise SuiteInvalid(f"{where}: expected must be a text or a list of texts for scorer exact.")
                for text in _texts(expected):
                    if not normalise(text, scorer):
                        raise SuiteInvalid(f"{where}: nothing is left of expected {text!r} after normalisation.")
            case RegexScorer():
                if not isinstance(expected, str):
                    raise SuiteInvalid(f"{where}: expected must be one pattern for scorer regex.")
                compile_pattern(expected, ignore_case=scorer.ignore_case)
            case JsonSchemaScorer():
                if not isinstance(expected, dict):
                    raise SuiteInvalid(f"{where}: expected must be a JSON Schema (an object) for scorer json_schema.")
                check_schema(expected)
    except (PatternInvalid, SchemaInvalid) as exc:
        raise SuiteInvalid(f"{where}: {exc}.") from exc


def score(item: EvalItem, answer: str | None) -> Verdict:
    """Return the verdict on an answer; None means that the model answered without text."""
    if answer is None:
        return Verdict("unparseable", "the model answered without text")
    if len(answer) > MAX_SCORED:
        return Verdict("unparseable", f"the answer is longer than {MAX_SCORED} characters")
    scorer, expected = item.scorer, item.expected
    if isinstance(scorer, ExactScorer):
        return _exact(scorer, _texts(expected), answer)
    if isinstance(scorer, RegexScorer):
        return _regex(scorer, str(expected), answer)
    return _json(expected if isinstance(expected, dict) else {}, answer)


def normalise(text: str, scorer: ExactScorer) -> str:
    """Return the text as it is compared (F059): NFKC, one space between words, and what the scorer ignores taken out.

    Punctuation becomes a space, so that "twenty-one" and "twenty one" are equal.
    """
    text = unicodedata.normalize("NFKC", text)
    if scorer.ignore_case:
        text = text.casefold()
    if scorer.ignore_punctuation:
        text = "".join(" " if unicodedata.category(char).startswith("P") else char for char in text)
    if scorer.ignore_articles:
        text = _ARTICLES.sub(" ", text)
    return " ".join(text.split())


def _exact(scorer: ExactScorer, expected: tuple[str, ...], answer: str) -> Verdict:
    given = normalise(answer, scorer)
    if any(given == normalise(text, scorer) for text in expected):
        return Verdict("passed", "equal after normalisation")
    wanted = " or ".join(repr(_cut(text)) for text in expected[:3])
    return Verdict("failed", f"expected {wanted}, got {_cut(given)!r}")


def _regex(scorer: RegexScorer, pattern: str, answer: str) -> Verdict:
    compiled = compile_pattern(pattern, ignore_case=scorer.ignore_case)
    found = compiled.fullmatch(answer.strip()) if scorer.match == "full" else compiled.search(answer)
    if found:
        return Verdict("passed", "the pattern matches")
    return Verdict("failed", f"{_cut(pattern)!r} does not match {_cut(answer)!r}")


def _json(schema: dict[str, object], answer: str) -> Verdict:
    try:
        problem = first_problem(find_json(answer), schema)
    except NoJson as exc:
        return Verdict("unparseable", str(exc))
    except CannotBeChecked as exc:
        return Verdict("error", str(exc))
    return Verdict("passed", "valid against the schema") if problem is None else Verdict("failed", problem)


def _texts(expected: object) -> tuple[str, ...]:
    return expected if isinstance(expected, tuple) else (str(expected),)


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
