"""From an answer to a verdict: exact match, pattern, JSON schema, likeness of meaning, and several of them together (F339)."""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from sluice.contracts.evals import (
    CombinedScorer,
    EvalItem,
    ExactScorer,
    Expected,
    JsonSchemaScorer,
    Outcome,
    RegexScorer,
    SimilarityScorer,
    SingleScorer,
)
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
_ROUNDING = 1e-9


class Verdict(NamedTuple):
    """How an answer came out, and why in one sentence."""

    outcome: Outcome
    reason: str


def check_item(item: EvalItem, where: str) -> None:
    """Accept an item whose `expected` fits its scorer.

    Raises:
        SuiteInvalid: it does not; the sentence begins with `where`.
    """
    scorer = item.scorer
    if isinstance(scorer, CombinedScorer):
        for number, part in enumerate(scorer.parts, start=1):
            _check(part.scorer, part.expected, f"{where}, part {number}")
        return
    _check(scorer, item.expected, where)


def _check(scorer: SingleScorer, expected: Expected, where: str) -> None:
    try:
        match scorer:
            case RegexScorer():
                if not isinstance(expected, str):
                    raise SuiteInvalid(f"{where}: expected must be one pattern for scorer regex.")
                compile_pattern(expected, ignore_case=scorer.ignore_case)
            case JsonSchemaScorer():
                if not isinstance(expected, dict):
                    raise SuiteInvalid(f"{where}: expected must be a JSON Schema (an object) for scorer json_schema.")
                check_schema(expected)
            case _:
                _check_texts(scorer, expected, where)
    except (PatternInvalid, SchemaInvalid) as exc:
        raise SuiteInvalid(f"{where}: {exc}.") from exc


def _check_texts(scorer: ExactScorer | SimilarityScorer, expected: Expected, where: str) -> None:
    if isinstance(expected, dict):
        raise SuiteInvalid(f"{where}: expected must be a text or a list of texts for scorer {scorer.kind}.")
    for text in _texts(expected):
        if isinstance(scorer, ExactScorer) and not normalise(text, scorer):
            raise SuiteInvalid(f"{where}: nothing is left of expected {text!r} after normalisation.")
        if isinstance(scorer, SimilarityScorer) and not text.strip():
            raise SuiteInvalid(f"{where}: expected holds an empty text, which means nothing.")


class Meaning(NamedTuple):
    """What a likeness is asked of: the texts that an answer is held against, and the embedding model (None: the one in use)."""

    texts: tuple[str, ...]
    model: str | None


def meanings(item: EvalItem) -> Iterator[Meaning]:
    """Return the likenesses that an item's scorer needs to know of an answer."""
    scorer = item.scorer
    named: list[tuple[SingleScorer, Expected]]
    if isinstance(scorer, CombinedScorer):
        named = [(part.scorer, part.expected) for part in scorer.parts]
    else:
        named = [(scorer, item.expected)]
    for one, expected in named:
        if isinstance(one, SimilarityScorer):
            yield Meaning(_texts(expected), one.model)


def score(item: EvalItem, answer: str | None, cosines: Mapping[Meaning, float] = MappingProxyType({})) -> Verdict:
    """Return the verdict on an answer; None means that the model answered without text.

    `cosines` hold the highest cosine of the answer for each of the item's `meanings`.
    """
    if answer is None:
        return Verdict("unparseable", "the model answered without text")
    if len(answer) > MAX_SCORED:
        return Verdict("unparseable", f"the answer is longer than {MAX_SCORED} characters")
    scorer = item.scorer
    if isinstance(scorer, CombinedScorer):
        return _combined(scorer, answer, cosines)
    return _single(scorer, item.expected, answer, cosines)


def _single(scorer: SingleScorer, expected: Expected, answer: str, cosines: Mapping[Meaning, float]) -> Verdict:
    if isinstance(scorer, ExactScorer):
        return _exact(scorer, _texts(expected), answer)
    if isinstance(scorer, RegexScorer):
        return _regex(scorer, str(expected), answer)
    if isinstance(scorer, SimilarityScorer):
        return _alike(scorer, cosines[Meaning(_texts(expected), scorer.model)])
    return _json(expected if isinstance(expected, dict) else {}, answer)


def _alike(scorer: SimilarityScorer, cosine: float) -> Verdict:
    passed = cosine >= scorer.min_score
    return Verdict("passed" if passed else "failed", f"cosine {cosine:.3f}, at least {scorer.min_score:g} is wanted")


def _combined(scorer: CombinedScorer, answer: str, cosines: Mapping[Meaning, float]) -> Verdict:
    found = [(part, _single(part.scorer, part.expected, answer, cosines)) for part in scorer.parts]
    said = "; ".join(f"{part.scorer.kind} {verdict.outcome}: {verdict.reason}" for part, verdict in found)
    if any(verdict.outcome == "error" for _, verdict in found):
        return Verdict("error", said)
    share = sum(part.weight for part, verdict in found if verdict.outcome == "passed") / sum(
        part.weight for part in scorer.parts
    )
    # a sum of weights may fall short of the whole by a rounding
    return Verdict(
        "passed" if share >= scorer.min_share - _ROUNDING else "failed", f"{share:.0%} of the weight: {said}"
    )


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
