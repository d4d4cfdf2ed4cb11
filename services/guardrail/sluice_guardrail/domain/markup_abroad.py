"""Finds markup that runs code or carries data away behind words of a language in which nobody here knows an order.

Attacks are put into languages that few guards read (Yong et al. 2023, "Low-Resource Languages Jailbreak GPT-4", arXiv:2310.02446). What the words want is not told then; that such markup
follows a sentence at all is, in a prompt, reason enough. Languages with phrases and texts to learn from are left to those, and so is code, in which no sentence stands before the markup.
"""

import re
from collections.abc import Iterator

from sluice_guardrail.domain.findings import Finding
from sluice_guardrail.domain.phrases import LINK_WITH_A_SLOT

KIND = "markup_abroad"
WEIGHT = 0.75
_MARKUP = re.compile(
    r"<(?:img|svg|iframe|object|body|video|audio|details)\b[^>\n]{0,80}?\bon\w{3,12}\s?=[^>\n]{0,20}?(?:alert|console|fetch|eval|document|location|prompt)"
    rf"|<a\s{{1,4}}href=[\"']?javascript:|{LINK_WITH_A_SLOT}"
)
_BEFORE = 240
_SENTENCE = re.compile(r"(?:\A|[.!?;:*\n]\s*)([^\W\d_][^.!?;:*\n<>{}()\[\]=/\\|$#@_0-9]*)[:,\"'`“„«]*\s{0,2}\Z")
_WORD = re.compile(r"[^\W\d_]+")
_FEWEST = 5
_LATIN = re.compile(r"[a-z\u00df-\u024f\u1e00-\u1eff]+\Z")
_KNOWN = tuple(
    frozenset(words.split())
    for words in (
        "the of to and in is it for on with as at by this that you your be are was not or from have has we my me can will please put add use show here into following answer response page code image link text write make when if",
        "der die das und in den von zu mit sich des auf für ist im dem nicht ein eine einen als auch an werden aus er hat dass sie nach wird bei wie ich du mir mich mein dein deine bitte wenn hier diese dieser folgende folgenden antwort",
        "le la les de des du un une et à en que qui dans est pour ce cette pas sur se plus par avec je tu il mon ma ta votre vous mais au aux sont suivante suivant réponse ici page voici merci",
        "el la los las de que y en un una por con no es para su al lo como más pero sus le ya este esta esto mi tu me si sin sobre hay siguiente respuesta aquí página",
        "il lo la i gli le di che e è un una per con non in si da del della nel al come più ma questo questa mio tuo tua mi se alla risposta seguente qui pagina sono",
        "o a os as de que e do da em um uma para com não no na por mais dos como mas ao meu sua seu esta este isso se você resposta seguinte aqui página",
        "de het een en van in is dat op te zijn met voor niet aan er om ook als bij maar dit deze ik je mijn jouw antwoord volgende hier naar wordt",
        "w i na z do się nie to że jest o jak po co dla tak za od są mi mój twoja twojej ten ta tego odpowiedzi odpowiedź oraz proszę tutaj przez",
        "och i att det som en på är av för med till den har inte ett om jag du min din ditt svar här detta var så kan följande",
        "og i at det som en på er av for med til den har ikke et om jeg du min din svar her dette var så kan følgende de",
        "ja on ei se että en oli mutta kun niin kuin tämä vastaus sinun minun voi ole hän joka tai",
        "a az és hogy nem is egy de ez van meg csak már ha mint el én te válasz ezt kérem",
        "a se na je že v to s i z do jsem jak za po ale tak si by pro od odpověď prosím tento této",
        "și de în a la cu pe nu este un o din care că mai pentru sau se al răspuns acest vă rog",
        "ve bir bu da de için ile çok ne o ben sen mi ama gibi daha var cevap yanıt lütfen olarak",
        "và là của có không cho được trong một các với này để tôi bạn những khi trả lời hãy",
        "yang dan di ini itu dengan untuk tidak dari dalam akan pada saya anda juga ke karena ada jawaban tolong adalah",
    )
)
"""Frequent words of English, German, French, Spanish, Italian, Portuguese, Dutch, Polish, Swedish, Norwegian and Danish, Finnish, Hungarian, Czech, Romanian, Turkish, Vietnamese and Indonesian."""


def find_markup_abroad(low: str) -> Iterator[Finding]:
    """Yield such markup in a text in lower case. Only Latin letters are read: what else is written is not taken for unknown."""
    if "](http" not in low and "<" not in low:
        return
    for match in _MARKUP.finditer(low):
        before = _SENTENCE.search(low[max(0, match.start() - _BEFORE) : match.start()])
        if before is not None and _is_unknown(_WORD.findall(before[1])):
            yield Finding("injection", "prompt_injection", KIND, match.start(), match.end(), WEIGHT)


def _is_unknown(words: list[str]) -> bool:
    """Say whether words are of none of the languages that are known here. Short words are shared by many languages, so that three of one tell it, or two of five; a long one counts twice."""
    if len(words) < _FEWEST or not all(_LATIN.match(word) for word in words):
        return False
    enough = min(3.0, 0.4 * len(words))
    return all(sum(2 if len(word) > 3 else 1 for word in words if word in known) < enough for known in _KNOWN)
