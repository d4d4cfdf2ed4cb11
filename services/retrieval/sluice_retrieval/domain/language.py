"""The language of a text by its small words, and which languages have a stemmer (F134)."""

from itertools import islice
from typing import Final

from sluice_retrieval.domain.words import WORD

ENGLISH: Final = "en"
STEMMERS: Final = {
    "ar": "arabic", "ca": "catalan", "cs": "czech", "da": "danish", "de": "german", "el": "greek", "en": "english", "es": "spanish",
    "et": "estonian", "eu": "basque", "fa": "persian", "fi": "finnish", "fr": "french", "ga": "irish", "hi": "hindi", "hu": "hungarian",
    "hy": "armenian", "id": "indonesian", "it": "italian", "lt": "lithuanian", "nb": "norwegian", "ne": "nepali", "nl": "dutch",
    "nn": "norwegian", "no": "norwegian", "pl": "polish", "pt": "portuguese", "ro": "romanian", "ru": "russian", "sr": "serbian",
    "sv": "swedish", "ta": "tamil", "tr": "turkish",
}  # fmt: skip
"""Snowball's stemmer of a language, by its ISO 639-1 code."""

_LISTS: Final = {
    "en": "a about after all an and any are as at be because been but by can could did do does for from had has have he her his how i if in "
    "into is it its may more my no not of on one or our out over she should so some than that the their them then there these they "
    "this to up was we were what when where which while who why will with would you your",
    "de": "aber alle als am an auch auf aus bei beim bis das dass dem den der des die diese dieser durch ein eine einem einen einer eines er "
    "es für hat haben ich ihr ihre im in ist kann kein keine mehr mit nach nicht noch nur oder sein seine sich sie sind so über um und "
    "uns von vor war was wenn wer werden wie wir wird wo zu zum zur zwischen",
    "fr": "à au aux avec ce ces cette comme dans de des du elle en est et être il ils je la le les leur leurs lui mais même ne nous on ont ou "
    "où par pas plus pour quand que quel quelle qui sa sans se ses si son sont sous sur un une vous été était",
    "es": "a al como con cuando de del desde donde dónde el ella en entre es esta este está están fue ha hasta hay la las le lo los más muy no "
    "nos o para pero por porque que qué se ser si sin sobre son su sus también tiene un una unos y ya",
    "it": "a al alla che chi come con da dal dalla dei del della delle di dove e è gli ha i il in la le lo ma nel nella non o per perché più "
    "quando questa questo se si sono su sua sul sulla un una uno",
    "pt": "a ao aos as com como da das de do dos e é ela ele em entre está foi há isso já mais mas na nas não no nos o os ou para pela pelo por "
    "quando que quem se sem ser seu são sua também tem um uma você",
    "nl": "aan als bij dan dat de deze die dit door een en er geen had heeft het hij hoe hun ik in is je kan maar meer met naar niet nog of om "
    "onder ons ook op over te tot uit van voor waar was wat we wel werd wij worden ze zich zijn zij",
    "sv": "alla att av de den det dig din du där efter ej eller en ett från för får ha han har hon i inte jag kan kunde man med men mot när nu "
    "och om oss på så sig sin ska som till under upp ut var vad vi vid är över",
    "da": "af alle at blev blive da de den der det dig din du efter eller en er et for fra få ham han har havde hun hvad hvis hvor i ikke jeg kan "
    "man med men mod når nu og om op os på sig sin skal som til ud under var ved vi vil være",
    "no": "alle at av ble blir da de deg den der det din du eller en enn er et etter for fra få han har hun hva hvis hvor i ikke jeg kan man med "
    "men mot når nå og om opp oss på seg sin skal som til under ut var ved vi vil være",
    "fi": "että ei hän he ja joka jos kanssa kuin kun minä mitä mutta myös ne niin nyt olla oli on ovat se sen sekä tai tämä vain voi",
    "pl": "aby ale co czy dla do gdy i ich jak jest już która które który lub ma mnie może na nie o od po pod przez przy są się ta tak to tylko "
    "w we z za ze że",
    "ru": "а бы был была были было быть в вы где для до его ее если есть еще за и из или их к как когда который ли мы на не него нет но о об он "
    "она они от по при с со так также то только у что чтобы это я",
}
SMALL_WORDS: Final = {language: frozenset(words.split()) for language, words in _LISTS.items()}
"""Frequent words without meaning of their own, by language."""

_READ_WORDS = 120
_SHORT_CHARS = 2000
_FEWEST = 3
_SHARE = 0.12
_AHEAD = 1.15
_OF: Final[dict[str, tuple[str, ...]]] = {
    word: tuple(language for language, words in SMALL_WORDS.items() if word in words)
    for word in frozenset().union(*SMALL_WORDS.values())
}


def language_of(text: str) -> str | None:
    """Return the language whose small words make up most of a text's first 120 words; None where that says too little.

    At least three of them and 12 % of the words must be small words of that language, and no other may come near it.
    """
    if len(text) <= _SHORT_CHARS:
        words = [word.lower() for word in WORD.findall(text)[:_READ_WORDS]]
    else:
        words = [match[0].lower() for match in islice(WORD.finditer(text), _READ_WORDS)]
    counts: dict[str, int] = {}
    for languages in filter(None, map(_OF.get, words)):
        for language in languages:
            counts[language] = counts.get(language, 0) + 1
    if not counts:
        return None
    language = max(counts, key=counts.__getitem__)
    most = counts.pop(language)
    if most < max(_FEWEST, _SHARE * len(words)) or most < _AHEAD * max(counts.values(), default=0):
        return None
    return language
