"""Making a question ready for search: alone, in parts, in other words."""

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sluice.asked_for import modality_of
from sluice.clients.http import HttpAnswer
from sluice.contracts.questions import QueryUnderstanding, Turn
from sluice.contracts.searching import Query, SearchRequest
from sluice.errors import UpstreamFailed
from sluice_retrieval.adapters.chat_rewriter import ChatRewriter
from sluice_retrieval.adapters.languages import Languages
from sluice_retrieval.domain.bm25 import query_terms, query_vector, term_hash
from sluice_retrieval.domain.questions.expansion import marking_terms, synonyms_in
from sluice_retrieval.domain.questions.parts import MOST_PARTS, as_statement, parts_of
from sluice_retrieval.domain.questions.rules import WithRules
from sluice_retrieval.domain.questions.standalone import stand_alone
from sluice_retrieval.domain.questions.understanding import Reading, understand


def turns(*said: str) -> tuple[Turn, ...]:
    """Return a conversation: the user and the assistant by turns."""
    return tuple(Turn(role="assistant" if at % 2 else "user", content=text) for at, text in enumerate(said))


async def read(question: str, options: QueryUnderstanding, *said: str) -> Reading:
    query = Query(query=question, conversation=turns(*said))
    return await understand(query, options, None, Languages())


@pytest.mark.parametrize(
    ("question", "before", "alone"),
    [
        ("What if I lose it?", "What is a season pass?", "What if I lose a season pass?"),
        ("And on Sundays?", "When does the lock open on weekdays?", "When does the lock open on Sundays?"),
        ("What about Line B?", "How long does Line A take?", "How long does Line B take?"),
        ("Why?", "Is the bridge closed in January?", "Is the bridge closed in January: Why?"),
        ("What are its opening hours?", "Where is the museum?", "What are its opening hours (the museum)?"),
        ("Was kostet sie?", "Wo bekomme ich eine Jahreskarte?", "Was kostet eine Jahreskarte?"),
        ("Et le dimanche ?", "Quand ouvre le musée du port ?", "Quand ouvre le musée du port le dimanche?"),
        ("¿Y para los niños?", "¿Cuánto cuesta un billete para adultos?", "¿Cuánto cuesta un billete para los niños?"),
    ],
)
def test_a_follow_up_takes_over_what_it_points_back_to(question: str, before: str, alone: str) -> None:
    assert stand_alone(question, turns(before, "That depends.")) == alone


@pytest.mark.parametrize(
    "question",
    [
        "What does a night in the harbour cost in winter?",
        "Which documents do I need for the crew list?",
        "Is it possible to bring a dog on the boat?",
        "How long does it take to learn sailing?",
        "Is there a boat that leaves before seven?",
        "What is the baggage allowance?",
    ],
)
def test_a_question_that_stands_alone_is_left_as_it_is(question: str) -> None:
    assert stand_alone(question, turns("When does the lock open?", "At seven.")) is None


def test_a_chain_of_follow_ups_keeps_what_it_is_about() -> None:
    said = turns("How many people fit on the Albatross?", "400.", "And on the Tern?", "120.")
    assert stand_alone("And on the Gull?", said) == "How many people fit on the Gull?"
    assert stand_alone("And on the Gull?", ()) is None
    assert stand_alone("Who built her?", turns("Who is in charge?", "You want Anna Berg.")) is not None


@given(st.text(max_size=80), st.lists(st.text(max_size=80), max_size=6))
def test_rules_take_any_text(question: str, said: list[str]) -> None:
    alone = stand_alone(question, turns(*said))
    assert alone is None or alone.strip()
    assert len(parts_of(question)) <= MOST_PARTS
    as_statement(question)
    modality_of(question)


@pytest.mark.parametrize(
    ("question", "parts"),
    [
        ("How long is a shift and how do I swap one?", ("How long is a shift", "how do I swap one?")),
        ("What is a pass and where can I buy it?", ("What is a pass", "where can I buy a pass?")),
        ("When do I ring? Do I need a note?", ("When do I ring?", "Do I need a note?")),
        ("What are the rules for cats and for furniture?", ("What are the rules for cats", "What are the rules for furniture?")),
        ("What is the difference between a gull and a tern?", ("a gull", "a tern")),
        ("Was kostet ein Hund und wo ist der Hafen?", ("Was kostet ein Hund", "wo ist der Hafen?")),
        ("Do cats and dogs pay?", ()),
        ("Where is the harbour?", ()),
    ],
)  # fmt: skip
def test_a_question_is_parted_where_it_asks_anew(question: str, parts: tuple[str, ...]) -> None:
    assert parts_of(question) == parts


def test_a_question_as_a_statement() -> None:
    assert as_statement("Could you please tell me how I renew a pass?") == "renew a pass"
    assert as_statement("Opening hours") is None


@pytest.mark.parametrize(
    ("question", "modality"),
    [
        ("Show me the screenshot of the login page", "image"),
        ("What is the average price per month?", "table"),
        ("What does parse_config() return?", "code"),
        ("When does the boat leave?", "text"),
    ],
)
def test_what_kind_of_evidence_is_asked_for(question: str, modality: str) -> None:
    assert modality_of(question) == modality


def test_synonyms_are_found_by_their_stems_and_as_phrases() -> None:
    given_ones = {"paid leave": ["PTO", "holiday"], "boat": ["vessel"]}
    assert synonyms_in("How much paid leave do boats' crews get?", given_ones) == ("PTO", "holiday", "vessel")
    assert synonyms_in("Leave is paid", given_ones) == ()


def test_terms_of_the_store_are_those_that_mark_the_first_passages() -> None:
    about = ["The muzzle and the lead of a dog.", "A dog wears a muzzle or a lead.", "Muzzle for dogs."]
    other = ["Boats leave at seven in the morning.", "A ticket costs three crowns.", "The crew wears jackets."] * 4
    assert set(marking_terms("dog rules", [*about, *other])) >= {"muzzle", "lead"}
    assert "dog" not in marking_terms("dog rules", [*about, *other])
    assert marking_terms("dog", []) == ()


def test_added_words_weigh_less_than_the_questions_own() -> None:
    vector = query_vector(query_terms("boat boat"), {"vessel": 0.5, "boat": 0.1})
    weights = dict(zip(*vector, strict=True))
    assert weights == {term_hash("boat"): 2.0, term_hash("vessel"): 0.5}


async def test_each_step_can_be_switched_and_is_told() -> None:
    question, before = "And where is it and what does it cost?", "Where do I buy a season pass?"
    plain = (await read(question, QueryUnderstanding(rewrite="none", detect=False), before)).told(())
    assert (plain.query, plain.rewritten_by, plain.language, plain.modality) == (question, None, None, None)
    assert [one.text for one in plain.queries] == [question]
    options = QueryUnderstanding(
        decompose=True, expand=("synonyms", "reformulation"), synonyms={"pass": ("season card",)}
    )
    full = (await read(question, options, before)).told(("fare",))
    assert (full.rewritten_by, full.language, full.modality) == ("rules", "en", "text")
    assert [one.reason for one in full.queries] == ["stand_alone", "question", "part", "part", "reformulation"]
    assert (full.synonyms, full.terms) == (("season card",), ("fare",))


async def test_the_language_of_a_question_is_told_by_its_small_words_or_its_letters() -> None:
    languages = {}
    for question in ("Wo ist der Hafen?", "¿Dónde está el puerto?", "Где находится причал для лодок?", "ok"):
        languages[question] = (await read(question, QueryUnderstanding())).language
    assert list(languages.values()) == ["de", "es", "ru", None]


def test_openais_flag_switches_on_parts_and_statement() -> None:
    said = SearchRequest.model_validate({"query": "x", "rewrite_query": True})
    assert said.understand == QueryUnderstanding(decompose=True, expand=("reformulation",))
    own = SearchRequest.model_validate({"query": "x", "rewrite_query": True, "understand": {"rewrite": "none"}})
    assert own.understand == QueryUnderstanding(rewrite="none")
    with pytest.raises(ValidationError, match="give some in `synonyms`"):
        QueryUnderstanding(expand=("synonyms",))


class Wire:
    """Answers every call the same way and keeps what was asked."""

    def __init__(self, answer: HttpAnswer | Exception) -> None:
        self.answer = answer
        self.asked: list[dict[str, object]] = []
        self.headers: Mapping[str, str] = {}

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, timeout_s: float
    ) -> HttpAnswer:
        self.asked.append({"method": method, "url": url, **json.loads(body or b"{}")})
        self.headers = headers
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def close(self) -> None:
        """There is nothing to close."""


def said(text: str) -> HttpAnswer:
    return HttpAnswer(200, {}, json.dumps({"choices": [{"message": {"role": "assistant", "content": text}}]}).encode())


async def test_a_chat_model_rewrites_and_may_be_named_by_the_request() -> None:
    wire = Wire(said(' "What does a season pass cost?" '))
    model = ChatRewriter(wire, "http://gateway/v1/", "small", "secret", 2.0)
    found = await model.rewrite("And its price?", turns("What is a season pass?", "Valid all summer."), None)
    assert found == ("What does a season pass cost?", "small")
    assert wire.asked[0]["url"] == "http://gateway/v1/chat/completions"
    assert "What is a season pass?" in json.dumps(wire.asked[0]["messages"])
    assert wire.headers["authorization"] == "Bearer secret"
    assert (await model.rewrite("x", (), "large")).by == "large"


@pytest.mark.parametrize(
    "answer",
    [
        HttpAnswer(500, {}, b""),
        HttpAnswer(200, {}, b"{}"),
        said(""),
        said("One.\nTwo."),
        said("x" * 2000),
        TimeoutError(),
        OSError(),
    ],
)
async def test_rules_rewrite_when_the_chat_model_cannot(answer: HttpAnswer | Exception) -> None:
    failures: list[int] = []
    model = ChatRewriter(Wire(answer), "http://gateway/v1", "small", "", 2.0)
    rewriter = WithRules(model, lambda: failures.append(1))
    found = await rewriter.rewrite("What if I lose it?", turns("What is a season pass?", "A pass."), None)
    assert found == ("What if I lose a season pass?", "rules")
    assert len(failures) == 1
    asked = Query(query="And more?", conversation=turns("What is a season pass?", "A pass."))
    reading = await understand(asked, QueryUnderstanding(rewrite="model"), rewriter, Languages())
    assert reading.fell_back
    assert not (await understand(asked, QueryUnderstanding(), None, Languages())).fell_back


async def test_a_chat_model_that_fails_again_and_again_is_left_alone() -> None:
    wire = Wire(HttpAnswer(503, {}, b""))
    model = ChatRewriter(wire, "http://gateway/v1", "small", "", 2.0)
    for _ in range(8):
        with pytest.raises(Exception, match="rewriting model"):
            await model.rewrite("x", (), None)
    assert len(wire.asked) == 5
    with pytest.raises(UpstreamFailed):
        await ChatRewriter(wire, "http://gateway/v1", "small", "", 2.0).rewrite("x", (), None)
