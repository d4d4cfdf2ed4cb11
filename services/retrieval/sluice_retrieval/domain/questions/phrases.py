"""The small words that the rules for questions look at, by language."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

from sluice_retrieval.domain.words import WORD


@dataclass(frozen=True, slots=False)
class Phrases:
    """Words of one language; each field is a list parted by blanks, and phrases of several words are joined by `_`.

    `pronouns` stand for a thing spoken of before, `owners` for its possessive; `leads` begin a follow-up; `asks` begin a
    question, `auxiliaries` a question or its second half; `others` are further words without meaning of their own.
    """

    language: str
    pronouns: str
    people: str
    owners: str
    pointers: str
    leads: str
    asks: str
    auxiliaries: str
    articles: str
    prepositions: str
    subjects: str
    joins: str
    others: str
    of: str
    polite: str

    @cached_property
    def sets(self) -> dict[str, frozenset[str]]:
        """Return each list as a set."""
        return {
            name: frozenset(value.split())
            for name, value in vars(self).items()
            if name not in ("language", "of", "sets", "function", "leading")
        }

    @cached_property
    def function(self) -> frozenset[str]:
        """Return all words without meaning of their own."""
        named = self.sets
        lists = ("pronouns", "people", "owners", "pointers", "asks", "auxiliaries", "articles", "prepositions")
        found = (named[name] for name in (*lists, "subjects", "joins", "others"))
        return frozenset(word for words in found for word in words)

    @cached_property
    def leading(self) -> tuple[tuple[str, ...], ...]:
        """Return the phrases that begin a follow-up, longest first."""
        return tuple(sorted((tuple(one.split("_")) for one in self.leads.split()), key=len, reverse=True))


ENGLISH: Final = Phrases(
    language="en",
    pronouns="it they them",
    people="he she him",
    owners="its their theirs his her hers",
    pointers="this that these those there",
    leads="and but so or also then ok okay well what_about how_about and_what_about and_how_about what_else and_also",
    asks="what when where who whom whose which why how",
    auxiliaries="is are was were am be been do does did can could may might must shall should will would has have had",
    articles="a an the my our your any some every each all no",
    prepositions="in on at for from to with without by of about into during after before between under over per than through as until within",
    subjects="i we you one someone anyone anybody somebody people",
    joins="and or but",
    others="if not only just please too also else same there much many long often far old me us there's it's what's "
    "need needs want wants get gets happen happens",
    of="of",
    polite="please tell_me can_you_tell_me could_you_tell_me could_you_please_tell_me i_would_like_to_know i_want_to_know "
    "i'd_like_to_know do_you_know hello hi hey thanks thank_you",
)
GERMAN: Final = Phrases(
    language="de",
    pronouns="es sie ihn ihm ihnen",
    people="er",
    owners="sein seine seinen seiner ihr ihre ihren ihrer dessen deren",
    pointers="das dies diese dieser dieses diesen dort dafür damit davon darauf",
    leads="und aber also oder dann was_ist_mit wie_ist_es_mit und_was_ist_mit wie_steht_es_mit",
    asks="was wann wo wer wen wem wessen welche welcher welches welchen warum wieso weshalb wie wohin woher womit wofür",
    auxiliaries="ist sind war waren bin wird werden hat haben hatte kann können könnte darf dürfen muss müssen soll sollen will wollen gibt",
    articles="der die das den dem des ein eine einen einem einer eines kein keine keinen mein meine meinen unser unsere",
    prepositions="in im an am auf für von vom zu zum zur mit ohne bei beim aus nach vor über unter zwischen durch gegen um bis seit während",
    subjects="ich wir du ihr man jemand",
    joins="und oder aber sowie",
    others="nicht auch nur noch denn bitte viel viele lange oft weit mir uns mich dich sich als wenn dass es",
    of="von",
    polite="bitte hallo danke kannst_du_mir_sagen können_sie_mir_sagen ich_möchte_wissen",
)
FRENCH: Final = Phrases(
    language="fr",
    pronouns="il elle ils elles le la les lui leur y en",
    people="",
    owners="son sa ses leurs",
    pointers="ce cet cette ces ça cela celui celle ceux là",
    leads="et mais alors ou donc qu'en_est-il qu'en_est-il_de",
    asks="que quoi quand où qui quel quelle quels quelles pourquoi comment combien qu'est-ce est-ce",
    auxiliaries="est sont était étaient suis peut peuvent pouvons puis-je peut-on doit doivent dois-je faut a ont avait y-a-t-il",
    articles="le la les l un une des du mon ma mes notre nos aucun aucune",
    prepositions="à au aux de d dans sur sous pour par avec sans chez entre vers avant après pendant depuis en jusqu'à",
    subjects="je j on nous vous tu quelqu'un",
    joins="et ou mais",
    others="ne pas plus aussi seulement si me moi se s que c n",
    of="de",
    polite="bonjour merci s'il_vous_plaît pouvez-vous_me_dire je_voudrais_savoir",
)
SPANISH: Final = Phrases(
    language="es",
    pronouns="él ella ellos ellas lo la los las le les",
    people="",
    owners="su sus suyo suya",
    pointers="esto eso este esta estos estas ese esa esos esas allí ahí",
    leads="y pero entonces o qué_hay_de y_qué_hay_de qué_pasa_con",
    asks="qué cuándo dónde quién quiénes cuál cuáles cuánto cuánta cuántos cuántas por_qué cómo",
    auxiliaries="es son era eran está están hay puede pueden puedo podemos debe deben debo tiene tienen ha han",
    articles="el la los las un una unos unas mi mis nuestro nuestra ningún ninguna",
    prepositions="a al de del en con sin por para sobre entre hasta desde durante antes después según hacia",
    subjects="yo nosotros tú usted alguien uno",
    joins="y e o u pero",
    others="no también solo si me nos se que más muy ya",
    of="de",
    polite="hola gracias por_favor puede_decirme quisiera_saber",
)
BY_LANGUAGE: Final = {one.language: one for one in (ENGLISH, GERMAN, FRENCH, SPANISH)}
_FEWEST = 1


def phrases_of(question: str) -> Phrases | None:
    """Return the language whose small words a question has most of, English first; None if it has none of any."""
    said = [word.lower() for word in WORD.findall(question)]
    counts = {language: sum(word in one.function for word in said) for language, one in BY_LANGUAGE.items()}
    best = max(counts, key=lambda language: counts[language])
    return BY_LANGUAGE[best] if counts[best] >= _FEWEST else None
