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
_SHARE = 0.15
_LATIN = re.compile(r"[a-z\u00df-\u024f\u1e00-\u1eff]+\Z")
_KNOWN = tuple(
    frozenset(words.split())
    for words in (
        "the and for with this that you your are was not from have has can will please put add use show here into following answer response page code image link text write make when",
        "der die das und den von mit sich des auf für ist dem nicht ein eine einen als auch werden aus hat dass sie nach wird bei wie ich mir mich mein dein deine bitte wenn hier diese dieser folgende folgenden antwort",
        "les des une que qui dans est pour cette pas sur plus par avec mon votre vous mais aux sont suivante suivant réponse ici page voici merci",
        "los las que una por con para como más pero sus este esta esto sin sobre hay siguiente respuesta aquí página",
        "gli che una per con non del della nel come più questo questa mio tuo tua alla risposta seguente qui pagina sono",
        "que uma para com não por mais dos como mas meu sua seu esta este isso você resposta seguinte aqui página",
        "het een van dat zijn met voor niet aan ook als bij maar dit deze mijn jouw antwoord volgende hier naar wordt",
        "się nie jest jak dla tak mój twoja twojej ten tego odpowiedzi odpowiedź oraz proszę tutaj przez moja gdy",
        "och att det som för med till den har inte ett jag min din ditt svar här detta var kan följande",
        "det som for med til den har ikke jeg min din svar her dette var kan følgende",
        "että oli mutta kun niin kuin tämä vastaus sinun minun voi ole hän joka tai",
        "hogy nem egy van meg csak már mint válasz ezt kérem",
        "jsem jak ale tak pro odpověď prosím tento této když můj moje není",
        "este din care mai pentru sau răspuns acest rog",
        "bir için ile çok ben sen ama gibi daha var cevap yanıt lütfen olarak",
        "của không cho được trong một các với này tôi bạn những khi trả lời hãy",
        "yang dan ini itu dengan untuk tidak dari dalam akan pada saya anda juga karena ada jawaban tolong adalah",
    )
)
"""Frequent words, of three letters and more since shorter ones are shared by many languages, of English, German, French, Spanish, Italian, Portuguese, Dutch, Polish, Swedish, Norwegian and Danish, Finnish, Hungarian, Czech, Romanian, Turkish, Vietnamese and Indonesian."""


def find_markup_abroad(low: str) -> Iterator[Finding]:
    """Yield such markup in a text in lower case. Only Latin letters are read: what else is written is not taken for unknown."""
    if "](http" not in low and "<" not in low:
        return
    for match in _MARKUP.finditer(low):
        before = _SENTENCE.search(low[max(0, match.start() - _BEFORE) : match.start()])
        if before is not None and _is_unknown(_WORD.findall(before[1])):
            yield Finding("injection", "prompt_injection", KIND, match.start(), match.end(), WEIGHT)


def _is_unknown(words: list[str]) -> bool:
    """Say whether words are of none of the languages that are known here: of the longer ones fewer than `_SHARE` are frequent in any."""
    if len(words) < _FEWEST or not all(_LATIN.match(word) for word in words):
        return False
    longer = {word for word in words if len(word) > 2}
    return all(len(longer & known) < _SHARE * len(longer) for known in _KNOWN)
