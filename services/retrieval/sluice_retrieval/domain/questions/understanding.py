"""What is searched for when a question is asked: made stand-alone, parted, in other words (F145, F146, F149)."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from sluice.asked_for import modality_of
from sluice.contracts.questions import Modality, QueryReason, QueryUnderstanding, SearchedQuery, Turn, Understood
from sluice.contracts.searching import Query
from sluice_retrieval.domain.questions.expansion import synonyms_in
from sluice_retrieval.domain.questions.parts import as_statement, parts_of
from sluice_retrieval.domain.questions.phrases import phrases_of
from sluice_retrieval.domain.questions.standalone import stand_alone

RULES = "rules"
ORIGINAL_WEIGHT = 0.5
STATEMENT_WEIGHT = 0.5
_MOST_QUERIES = 10


class Rewritten(NamedTuple):
    """A question as it stands alone, and who wrote it."""

    question: str
    by: str


class Rewriter(Protocol):
    """Writes a question of a conversation so that it stands alone.

    When a chat model is away, late or answers nonsense it raises `DependencyUnavailable`, `DeadlineExceeded` or
    `UpstreamFailed`, and the rules rewrite: a search never fails for want of it, and `rewritten_by` tells.
    """

    async def rewrite(self, question: str, earlier: Sequence[Turn], model: str | None) -> Rewritten:
        """Return the question as it stands alone; the same if it did before."""
        ...


class LanguageTeller(Protocol):
    """Tells the language of a text."""

    def opened(self) -> bool:
        """Tell whether it answers at once; the first question may take a second."""
        ...

    def language_of(self, text: str) -> str | None:
        """Return the ISO 639-1 code, None where it cannot be told."""
        ...


class Asked(NamedTuple):
    """One text to search for; the rankings of all are joined with these weights."""

    text: str
    reason: QueryReason
    weight: float = 1.0


class Reading(NamedTuple):
    """What was made of a question."""

    question: str
    rewritten_by: str | None
    language: str | None
    modality: Modality | None
    asked: tuple[Asked, ...]
    synonyms: tuple[str, ...]
    wants_terms: bool
    fell_back: bool = False
    """The chat model that was asked to rewrite was away, and rules did it."""

    def told(self, terms: Sequence[str]) -> Understood:
        """Return it as an answer tells it; `terms` are those that a first search added."""
        return Understood(
            query=self.question,
            rewritten_by=self.rewritten_by,
            language=self.language,
            modality=self.modality,
            queries=tuple(SearchedQuery(text=one.text, reason=one.reason, weight=one.weight) for one in self.asked),
            synonyms=self.synonyms,
            terms=tuple(terms),
        )


async def understand(
    query: Query, options: QueryUnderstanding, rewriter: Rewriter | None, languages: LanguageTeller
) -> Reading:
    """Return what is to be searched for; `rewriter` is None where rules rewrite."""
    written = await _standing_alone(query, options, rewriter)
    found = None if written is None or written.question == query.query else written
    question = query.query if found is None else found.question
    asked = [Asked(question, "question" if found is None else "stand_alone")]
    if found is not None:
        asked.append(Asked(query.query, "question", ORIGINAL_WEIGHT))
    if options.decompose:
        asked += [Asked(part, "part") for part in parts_of(question)]
    if "reformulation" in options.expand and (statement := as_statement(question)) is not None:
        asked.append(Asked(statement, "reformulation", STATEMENT_WEIGHT))
    asked += [Asked(text, "also") for text in query.also]
    return Reading(
        question=question,
        rewritten_by=None if found is None else found.by,
        language=await _language_of(question, languages) if options.detect else None,
        modality=modality_of(question) if options.detect else None,
        asked=tuple({one.text: one for one in reversed(asked)}.values())[::-1][:_MOST_QUERIES],
        synonyms=synonyms_in(question, options.synonyms) if "synonyms" in options.expand else (),
        wants_terms="terms" in options.expand,
        fell_back=rewriter is not None and written is not None and written.by == RULES,
    )


async def _standing_alone(query: Query, options: QueryUnderstanding, rewriter: Rewriter | None) -> Rewritten | None:
    if options.rewrite == "none" or not query.conversation:
        return None
    if rewriter is not None:
        return await rewriter.rewrite(query.query, query.conversation, options.rewrite_model)
    alone = stand_alone(query.query, query.conversation)
    return None if alone is None else Rewritten(alone, RULES)


async def _language_of(question: str, languages: LanguageTeller) -> str | None:
    # Small words tell more of a short question than letters do.
    phrases = phrases_of(question)
    if phrases is not None:
        return phrases.language
    if languages.opened():
        return languages.language_of(question)
    return await asyncio.to_thread(languages.language_of, question)
