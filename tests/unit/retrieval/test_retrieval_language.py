"""Which language a text is in, and how its words are stemmed."""

import pytest

from sluice.clock import SystemClock
from sluice_retrieval.adapters.languages import Languages
from sluice_retrieval.domain.bm25 import query_terms, terms
from sluice_retrieval.domain.language import STEMMERS, language_of
from sluice_retrieval.domain.sweep import Sweep

TEXTS = {
    "en": "Boats leave every half hour in the morning, and the crossing to the island takes 25 minutes.",
    "de": "Die Boote fahren am Morgen alle halbe Stunde, und die Überfahrt auf die Insel dauert 25 Minuten.",
    "fr": "Les bateaux partent toutes les demi-heures le matin et la traversée vers l'île est de 25 minutes.",
    "es": "Los barcos salen cada media hora por la mañana y la travesía hasta la isla es de 25 minutos.",
    "ru": "Лодки ходят каждые полчаса утром, и переход на остров занимает не более 25 минут, если нет ветра.",
    "it": "Le barche partono ogni mezz'ora al mattino e la traversata per l'isola è di 25 minuti.",
    "nl": "De boten vertrekken elk half uur in de ochtend en het duurt niet meer dan 25 minuten.",
}


@pytest.mark.parametrize("language", TEXTS)
def test_a_language_is_told_by_its_small_words(language: str) -> None:
    assert language_of(TEXTS[language]) == language


@pytest.mark.parametrize("text", ["", "HL-07", "Bolt; Nut; 17", "船は毎朝出る。"])
def test_what_says_too_little_is_not_guessed(text: str) -> None:
    assert language_of(text) is None


@pytest.mark.parametrize(
    ("language", "text", "asked"),
    [
        ("de", "Die Häfen schließen abends.", "Wann schließt der Hafen?"),
        ("fr", "Les bateaux partiront tôt.", "Quel bateau partira ?"),
        ("es", "Los billetes rebajados caducan.", "¿Cuándo caduca un billete rebajado?"),
        ("ru", "Собаки путешествуют в намордниках.", "Нужен ли собаке намордник?"),
        ("sv", "Båtarna går varje halvtimme.", "När går båten?"),
    ],
)
def test_forms_of_a_word_meet_in_their_language(language: str, text: str, asked: str) -> None:
    met = set(terms(text, language)) & set(query_terms(asked, ("en", language)))
    assert len(met) > len(set(terms(text, "en")) & set(query_terms(asked)))


def test_a_query_has_the_stems_of_every_language_of_the_store_each_once() -> None:
    assert query_terms("houses", ("en", "de")) == list(dict.fromkeys(terms("houses") + terms("houses", "de")))
    assert query_terms("harbour", ("en", "nl")) == ["harbour"]
    assert query_terms("running", ()) == ["run"]
    assert terms("running", "zh") == ["running"]


def test_scripts_without_blanks_are_pairs_of_characters() -> None:
    assert terms("船は毎朝", "ja") == ["船は", "は毎", "毎朝"]
    assert terms("HL-07号 A", "zh") == ["hl", "07", "号", "a"]
    assert set(terms("毎朝", "ja")) <= set(terms("船は毎朝出る。", "ja"))
    assert terms("부산항에서", "ko") == ["부산", "산항", "항에", "에서"]


def test_every_stemmer_exists() -> None:
    for language in STEMMERS:
        assert terms("abc", language) != []


class Waiting:
    """A backlog of documents that an older release made the terms of."""

    def __init__(self, waiting: int, *texts: str) -> None:
        self.found, self.documents = [(f"doc_{at}", text) for at, text in enumerate(texts)], waiting
        self.done: tuple[list[str], list[str]] | None = None

    async def waiting(self) -> int:
        return self.documents

    async def old_stems(self, limit: int) -> list[tuple[str, str]]:
        return self.found[:limit]

    async def restem(self, again: list[str], right: list[str], now: float) -> None:
        self.done = again, right


async def test_only_what_is_not_english_is_stemmed_again_and_not_while_others_wait() -> None:
    backlog = Waiting(0, TEXTS["en"], TEXTS["de"], "HL-07", "船は毎朝七時に港を出て島へ向かいます。")
    sweep = Sweep(backlog, None, None, SystemClock())  # type: ignore[arg-type]
    assert await sweep.restem(Languages()) is True
    assert backlog.done == (["doc_1", "doc_3"], ["doc_0", "doc_2"])
    busy = Waiting(50, TEXTS["de"])
    assert await Sweep(busy, None, None, SystemClock()).restem(Languages()) is True  # type: ignore[arg-type]
    assert busy.done is None
    assert await Sweep(Waiting(0), None, None, SystemClock()).restem(Languages()) is False  # type: ignore[arg-type]
