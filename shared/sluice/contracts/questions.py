"""How a question is made ready for search: what may be done with it, and what was done."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from sluice.contracts.base import Reply, Request

RewriteMethod = Literal["none", "rules", "model"]
ExpansionMethod = Literal["synonyms", "terms", "reformulation"]
Modality = Literal["text", "table", "image", "code"]
QueryReason = Literal["question", "stand_alone", "part", "reformulation", "also"]
Phrase = Annotated[str, Field(min_length=1, max_length=200)]


class Turn(Request):
    """One earlier message of a conversation."""

    role: Literal["user", "assistant"]
    content: Annotated[str, Field(max_length=20_000)]


class QueryUnderstanding(Request):
    """What is done with a question before it is searched for; each part can be switched by itself.

    A request says it, else the store (of several, the first that says anything), else the values here hold.
    """

    rewrite: Annotated[
        RewriteMethod,
        Field(
            description="make a follow-up a question that stands alone, from `conversation`: `rules` carries over what it "
            "points back to, `model` asks a chat model, and rules do it when that is away"
        ),
    ] = "rules"
    rewrite_model: Annotated[
        Annotated[str, Field(min_length=1, max_length=200)] | None,
        Field(description="which chat model rewrites; the configured one if left out"),
    ] = None
    decompose: Annotated[
        bool, Field(description="search for the parts of a question that asks several things, too")
    ] = False
    expand: Annotated[
        tuple[ExpansionMethod, ...],
        Field(
            max_length=3,
            description="`synonyms` adds those given below to BM25, `terms` adds the terms that mark the best passages of a "
            "first search, `reformulation` also searches for the question as a statement",
        ),
    ] = ()
    synonyms: Annotated[
        dict[Phrase, Annotated[tuple[Phrase, ...], Field(min_length=1, max_length=20)]],
        Field(max_length=500, description='other words for words of a question, such as `{"PTO": ["paid leave"]}`'),
    ] = {}
    detect: Annotated[bool, Field(description="tell the language of the question and what it asks for")] = True

    compute: Annotated[
        bool,
        Field(description="compute the figure that a question plainly asks for over a table that is found (English)"),
    ] = True

    @model_validator(mode="after")
    def _has_synonyms(self) -> "QueryUnderstanding":
        if "synonyms" in self.expand and not self.synonyms:
            raise ValueError("`expand` names synonyms: give some in `synonyms`")
        return self


class SearchedQuery(Reply):
    """One text that was searched for; the rankings of all are joined by ranks, each with its weight."""

    text: str
    reason: QueryReason
    weight: float = 1.0


class Understood(Reply):
    """What was made of a question."""

    query: Annotated[str, Field(description="the question as it stands alone")]
    rewritten_by: Annotated[
        str | None, Field(description="`rules` or the chat model's name; null if it was left as it came")
    ] = None
    language: Annotated[str | None, Field(description="ISO 639-1; null if it cannot be told, or was not asked")] = None
    modality: Annotated[Modality | None, Field(description="what kind of evidence it asks for; null if not asked")] = (
        None
    )
    queries: tuple[SearchedQuery, ...] = ()
    synonyms: Annotated[tuple[str, ...], Field(description="added to BM25 with half the weight")] = ()
    terms: Annotated[tuple[str, ...], Field(description="terms of the store that were added to BM25")] = ()
