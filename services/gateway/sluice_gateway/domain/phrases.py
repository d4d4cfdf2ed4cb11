"""What of an English question carries no meaning of its own, and which words and turns of phrase mean the same.

The tables hold what is safe in any question. A word that is not listed counts as it stands: an entry that is missing here
costs a hit, one that is wrong gives somebody another question's answer.
"""

import re
from typing import NamedTuple

NEUTRAL = frozenset({"the"})
"""Words that may come or go."""

DETERMINERS = frozenset({"a", "an", "the", "my", "your", "our", "his", "her", "their", "its", "this", "that", "these"})
"""Words that begin a noun with what belongs to it."""

LIGHT = frozenset({"of", "in", "for"})
"""Prepositions that a compound does without: a branch in git is a git branch."""

PLAIN = frozenset(
    {"a", "an", "about", "what", "who", "when", "where", "why", "how", "which", "the", "does", "did", "are", "is", "should", "could", "would", "can", "do",
     "my", "your", "of", "to", "into", "with", "and", "i", "it", "tell", "explain", "write", "give", "please", "list", "for", "between", "in", "on", "from", "me", "define"}
)  # fmt: skip
"""Words by which English is told from other languages."""

_NAMES = """
us it may will who can in of for march august mark bill turkey china polish
windows word excel access outlook teams edge apple amazon oracle shell target gap visa chase discover slack zoom meta swift rust ruby go spring
express flask bash basic scratch safari chrome office photos notes contacts messages mail maps news
bush rice rose jack grace hope faith joy grant frank art gene rob pat sue drew dean hunter carter mason baker cook fisher king bishop stone wood
brown green white black young long short little rich rock mercury orange phoenix buffalo mobile nice bath cork reading jersey sandy
galaxy nest echo signal discord twitch steam jaguar puma dove tide mustang lotus subway square stripe
"""
NAMES_TOO = frozenset(_NAMES.split())
"""Words that are names as well, which a capital within a sentence tells: Windows and windows, Rust and rust."""

_ABOUT = """
word words synonym synonyms antonym antonyms opposite rhyme rhymes plural plurals singular spell spelled spelling spelt pronounce pronounced
pronunciation syllable syllables letters vowels consonants etymology abbreviation acronym verb noun adjective adverb tense conjugate conjugation
translate translated translation anagram homophone homonym prefix suffix phrase say said meaning mean means difference
"""
ABOUT_WORDS = frozenset(_ABOUT.split())
"""What asks for words themselves: there no word stands for another, since the plural of "child" is not that of "children"."""

_SYNONYMS = """
a: an
buy: purchase
fix: repair
start: begin
email: e-mail
integer: int
make: create
car: automobile
large: big
movie: film
child: kid children
people: persons
change: modify
remove: delete
fast: quick
get: obtain
doctor: physician
phone: telephone
what: which
be: is are am
past be: was were
past: did
kilometer: km kilometre
meter: metre
kilogram: kg
liter: litre
percent: % pct
2: two
3: three
4: four
5: five
6: six
7: seven
8: eight
9: nine
10: ten
11: eleven
12: twelve
20: twenty
100: hundred
"""


def _pairs(table: str) -> dict[str, str]:
    rows = (line.split(": ") for line in table.strip().splitlines())
    return {other: word for word, others in rows for other in others.split()}


SAME = _pairs(_SYNONYMS)
"""The word that stands for a word, by that word."""

SHORT = {
    "can't": "can not", "cannot": "can not", "won't": "will not", "shan't": "shall not", "ain't": "is not", "let's": "let us",
    "i'm": "i am", "gonna": "going to", "wanna": "want to", "what're": "what are",
    **{f"{word}'s": f"{word} is" for word in ("what", "who", "where", "when", "how", "why", "that", "it", "there", "here", "he", "she")},
}  # fmt: skip
"""Short forms written out."""

ENDINGS = (("n't", "not"), ("'re", "are"), ("'ll", "will"), ("'ve", "have"), ("'d", "would"))
"""Ends of short forms, and the word that each is."""


class Turn(NamedTuple):
    """A turn of phrase, and what stands for it."""

    pattern: re.Pattern[str]
    instead: str


_ASKED = r"(?=(?:what|who|when|where|why|how|which|if|whether)\b)"
_DO = r"(?=(?:please|kindly|also|tell|explain|describe|define|write|translate|give|show|list|summarize|summarise|calculate|convert|compare|recommend|suggest|provide|find|help)\b)"
_ADJECTIVE = r"(safe|okay|legal|possible|healthy|allowed|dangerous|necessary|normal)"
_TURNS = (
    # what is said around a question
    (r"^(?:(?:hi|hello|hey|ok|okay|thanks|thank you|sorry|excuse me)(?: there| a lot| so much)?(?:[,!.]+ | " + _ASKED + "))+", ""),
    (r", (?:please|thanks|thank you)(?: so much| a lot| in advance)?$", ""),
    (r"(?<=\w)[,;:]+(?= )", ""),
    (r"^(?:could|can|would|will) you " + _DO, ""),
    (r"^(?:(?:please|kindly|also) (?:could|can|would|will) you )", ""),
    (r"^(?:(?:please|kindly|also) )+" + _DO, ""),
    (r"^(?:i (?:want|need|would like) to know|i am wondering|do you know) " + _ASKED, ""),
    (r"^(?:(?:tell|show) me|explain to me|explain|describe) " + _ASKED, ""),
    (r"^(?:explain|describe) (?=the difference)", "what is "),
    (r"^(?:give me|write) (?=a summary of|a list of)", ""),
    (r"^a summary of ", "summarize "),
    (r"^a list of ", "list "),
    (r"^list (?=the )", "what are "),
    (r"^define (?!an? )(.+)$", r"what is \1"),
    (r"\b(is|are) there (?=\w+ \w)", r"\1 "),
    (r"^(what (?:is|are)) some ", r"\1 "),
    (r"^i (?:want|need|would like) to (.+?) how (?:do|can) i do (?:that|this|it)$", r"how to \1"),
    # how to
    (r"\bhow (?:do|can|could|would) (?:i|one) ", "how to "),
    (r"\bhow i (?:can )?", "how to "),
    (r"\bwhat (?:is|are) (?:the|a) (?:steps?|ways?|procedure|process) to ", "how to "),
    (r"\bhow can (.+) be (\w+)ed\b", r"how to \2e \1"),
    # what is said in one word or in several
    (r"\bturn(?:ing)? on (?=\w)", "enable "),
    (r"\bturn(?:ing)? off (?=\w)", "disable "),
    (r"\bget in touch with\b", "contact"),
    (r"\bmake (.+) faster$", r"speed up \1"),
    (r"\b(?:log|sign) in\b", "login"),
    (r"\bsign up\b", "register"),
    (r"\bok\b", "okay"),
    # the same asked from another side
    (r"^what does (.+) mean$", r"what is the meaning of \1"),
    (r"^what causes (.+)$", r"what is the cause of \1"),
    (r"^how tall is (.+)$", r"what is the height of \1"),
    (r"^how old is (.+)$", r"what is the age of \1"),
    (r"^how many people (?:live|are) in (.+)$", r"what is the population of \1"),
    (r"^who was the (?:author|writer) of (.+)$", r"who wrote \1"),
    (r"^what are the (?:benefits|advantages) of ", "what are the benefits of "),
    (r"^where can i (?=find|get|see|buy|download|change)", "where i "),
    (r"^at what temperature does (.+) boil$", r"what is the boiling point of \1"),
    (r"^who was (.+) (\w+ed) by$", r"who \2 \1"),
    (r"^(?:what|which) (.+?) (is|are) the (\w+est|best|worst|(?:most|least) \w+)$", r"what \2 the \3 \1"),
    (r"^is (\w+ing .+) " + _ADJECTIVE + "$", r"is it \2 to \1"),
    (r"^is it okay for (.+) to ", r"can \1 "),
    (r"^(?:what|which) (.+) does (.+) have$", r"what are the \1 of \2"),
    (r"^how many (.+) (?:does|do) (.+) have$", r"how many \1 are in \2"),
    (r"^(what|who|where) (?!is |are )(.+) (is|are)$", r"\1 \3 \2"),
    (r"\b([\w-]+)'s ((?:(?!of\b|in\b|for\b)[\w-]+ ?)+)$", r"\2 of \1"),
    # helpers without meaning beside a question word or in front
    (r"\b(what|who|when|where|why|how|which|much|many|long|far|often)((?: [\w-]+)?) (?:do|does) ", r"\1\2 "),
    (r"^(?:do|does) (?=\w+ \w)", "do "),
    (r"\b(?:is|are|am) ((?:[\w-]+ ){1,3})(\w+ing)$", r"\1\2"),
)  # fmt: skip
TURNS = tuple(Turn(re.compile(pattern), instead) for pattern, instead in _TURNS)
"""Applied one after the other to a question in lower case without the marks at the ends of its sentences."""
