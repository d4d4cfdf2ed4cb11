"""Scores a text for prompt injection: phrases, weighed by whether they give an order or speak about one.

Asking about a system prompt is not an attack; ordering the model to reveal or ignore its own is (handbook F127, F267).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from sluice_guardrail.domain.disguises import Reading, readings
from sluice_guardrail.domain.findings import Finding
from sluice_guardrail.domain.folding import Folded
from sluice_guardrail.domain.foreign_phrases import FOREIGN
from sluice_guardrail.domain.hidden import OUT_OF_PLACE, HiddenHead, find_hidden_orders
from sluice_guardrail.domain.markup_abroad import find_markup_abroad
from sluice_guardrail.domain.ngrams import Grams, grams
from sluice_guardrail.domain.phrases import PHRASES, Phrases, Rule
from sluice_guardrail.domain.second import Cascade
from sluice_guardrail.domain.skeleton import lowered, skeleton

_REACH = 160
_SENTENCE_BREAK = re.compile(r"[.!?\n;:]")
_NEGATED = re.compile(
    r"(?:\bdo not|\bdon't|\bdoes not|\bdoesn't|\bnever|\bnot to|\bshouldn't|\bshould not|\bmust not|\bmustn't|\bcannot|\bcan't|\bwon't|\bwithout)\s+(?:ever\s+|just\s+)?\Z"
    r"|\bn'\Z|\b(?:ne|no|non|nie|niemals|nunca|jamais)\s+\Z"
)
_ASKED = re.compile(
    r"\b(?:how (?:do|does|did|to|can|could|would|should|come)|why|what happens|what (?:does|do|is|are|should)|should (?:i|we|one)|can (?:i|we|people|users?|one)"
    r"|may (?:i|we)|is it|are there|does|did|if (?:someone|somebody|anyone|a|an|the|users?|people|i|we|my)|when (?:a|an|the|users?|people|someone|i|we)|whether|which)\b"
)
_OTHER_SUBJECT = re.compile(
    r"\b(?:people|persons?|users?|they|he|she|it|i|we|who|that|which|students?|drivers?|patients?|employees?|models?|llms?|chatbots?|ais?|attackers?|hackers?"
    r"|someone|somebody|anyone|everyone|often|sometimes|usually|typically|always|tends? to|trying to|tries to|try to|tried to|attempts? to|able to|how to|used to|likely to"
    r"|(?:told|tell|tells|asked|asks|instruct(?:s|ed)?|caused?|makes?|made|get|tricks?) (?:it|them|him|her|us|me|the \w{1,14}|a \w{1,14}|an \w{1,14}) (?:to)?|my \w{2,14}(?: \w{2,14})?)\s*\Z"
)
_TO_YOU = re.compile(
    r"\byou(?:\s+(?:to|must|should|will|shall|can|may|now|need to|have to|are to|please|just|could|would))*\s*\Z"
)
# "When I gave you your instructions I forgot to ask you to …" is an order, though a time is told.
_ASKING_YOU = re.compile(r"\b(?:ask|tell|want|need|order|instruct|urge|beg)(?:ed|s)?\s+you\s+to\s*\Z")
_WONDERS = re.compile(r"\b(?:wonder|curious|what|how|why|test(?:s|ed|ing)?)\b")
_TIME = re.compile(r"\bwhen (?:i|we)\b")
_ABOUT = re.compile(
    r"\b(?:mean(?:s|ing)?|phrases?|examples?|attacks?|injections?|detect(?:s|ed|ion|ing)?|filters?|regex(?:es)?|classif\w{0,8}|sentences?|strings?|says?|said|saying|such as"
    r"|e\.g|payloads?|titled|called|entitled|wrote|written|translat\w{0,5}|grammar|pronounce|spell|headline|subject line|button|label(?:l?ed)?|commit message|error|warning|log(?:s|ged)?|quotes?|quoted"
    r"|contains?|match(?:es|ed)?|patterns?|rules?|grep|search|deny|den(?:y|ies) ?lists?|block(?:s|ed|list)?|terms|polic(?:y|ies)|known|talk|stor(?:y|ies)|comic|films?|novel|assert|tests?)\b"
    r"|\A\W*(?:is|are|was|were|has|have|will|would|could)\b[^.!]*\?"
)
_EXAMPLE_LEAD = re.compile(
    r"(?:\blike|\bsuch as|\be\.g\.?,?|\bfor example,?|\bphrases?|\bcalled|\bas in|\bwords|\bsays?|\bsaying|\bsaid)[\s:]{0,3}[\"'`“]?\s*\Z"
)
_QUOTES = {'"': '"', "“": "”", "`": "`", "«": "»", "「": "」", "『": "』", "'": "'"}
# The like in Chinese, Japanese, Korean, Russian, Arabic and Hindi.
_ABOUT_ABROAD = re.compile(
    "意思|含义|攻击|注入|短语|这句|這句|例如|比如|翻译|翻譯|检测|过滤|意味|攻撃|フレーズ|という文|翻訳|検出|例え|뜻|의미|공격|문구|문장|번역|탐지|означает|значит|пример|атак|фраз|перевед|перевод|обнаруж"
    "|معنى|تعني|يعني|مثال|هجوم|عبارة|ترجم|मतलब|अर्थ|उदाहरण|हमल|वाक्य|अनुवाद"
)
_OWN_WORDS = re.compile(
    r"\b(?:i (?:said|told you|gave|sent|wrote|mentioned|posted|described|asked)|my (?:previous|earlier|last|prior|above|initial|original|first))\b"
)

_FOREIGN_NOT = re.compile(r"\b(?:nicht|nie|niemals|pas|jamais|nunca)\b")
_CLAUSE_END = re.compile(r"[.,!?\n;:]|\b(?:und|sondern|et|mais|y|sino|e|ma|mas)\b")
# "Repeat the text above in upper case" asks for another form of what was said; word for word, or as data, it is a leak.
_OTHER_FORM = re.compile(
    r"\A[^\w\n]{1,3}(?:again[^\w\n]{1,3})?(?:in|into|to|with|without|as)\s(?:a |an |the )?(?:\w{1,14} ){0,2}?"
    r"(?:upper ?case|lower ?case|capitals?|capital letters|bold|italics?|title case|english|french|german|spanish|italian|portuguese|dutch|polish|chinese|japanese|hindi|arabic|turkish"
    r"|typos|line breaks|bullets?|bullet points|past tense|present tense|third person|first person|simple(?:r)? words|british spelling|american spelling|double spacing|tone|style)\b"
)
_EXACTLY = re.compile(
    r"\b(?:verbatim|word for word|exact(?:ly)?|literally|prompts?|instructions?|system|everything|all|starting|beginning|begins)\b"
)

_MENTION = 0.5
_NEGATION = 0.3
_OWN_REQUEST = 0.6

_DISGUISE_FACTOR = 0.95
_READ_TWICE = 4  # of what disguises hide
LEARNED = "learned"
ORDERS = (PHRASES, FOREIGN)
_WORTH_NAMING = 0.3


@dataclass(frozen=True, slots=True)
class InjectionResult:
    """How likely the text is an injection (0 to 1), and the spans that say so, each with its own weight; `by_phrases` is what phrases alone come to."""

    score: float
    findings: tuple[Finding, ...]
    by_phrases: float = 0.0


@dataclass(frozen=True, slots=True)
class Heads:
    """The trained heads: one for prompts, one for documents that nobody addressed to an assistant."""

    prompts: Cascade
    documents: HiddenHead


def score_injection(
    folded: Folded, head: Cascade | None = None, phrases: Sequence[Phrases] = ORDERS
) -> InjectionResult:
    """Return the score of a folded text; spans count its characters.

    Phrases of different kinds add up as independent evidence (1 − ∏(1 − w)); of one kind only the strongest counts. The
    trained head reads the text, its windows and what disguises hide; the surer of phrases and head decides.
    """
    text, plain = folded.text, folded.skeleton
    low = lowered(text)
    found = [*_find(low, phrases), *find_markup_abroad(low)]
    if head is not None:
        found.extend(_learned(head, text, plain))
    if plain != low:
        found.extend(_disguised(Reading(plain, 0, len(text), aligned=True), None, phrases))  # heads read the skeleton
    quick = None if head is None else replace(head, reader=None)
    # A text may hide many readings, and the encoder is slow.
    number = 0
    for reading in readings(text):
        found.extend(_disguised(reading, head if number < _READ_TWICE else quick, phrases))
        number += not reading.by_phrases
    strongest: dict[str, float] = {}
    for finding in found:
        strongest[finding.kind] = max(strongest.get(finding.kind, 0.0), finding.score)
    learned = strongest.pop(LEARNED, 0.0)
    doubt = 1.0
    for weight in strongest.values():
        doubt *= 1.0 - weight
    by_phrases = round(1.0 - doubt, 4)
    return InjectionResult(max(by_phrases, round(learned, 4)), tuple(found), by_phrases)


def _learned(head: Cascade, text: str, plain: str) -> Iterator[Finding]:
    best = head.best(text, grams(text, plain))
    if best.score >= _WORTH_NAMING:
        yield Finding("injection", "prompt_injection", LEARNED, best.start, best.end, round(best.score, 4))


def _disguised(reading: Reading, head: Cascade | None, phrases: Sequence[Phrases]) -> Iterator[Finding]:
    found = list(_find(lowered(reading.text), phrases))
    # Mirrored plain text is no language, and pieces in a row are no text: only phrases say something about them.
    if head is not None and not reading.by_phrases:
        found.extend(_learned(head, reading.text, skeleton(reading.text)))
    for finding in found:
        start, end = reading.span(finding.start, finding.end)
        yield replace(finding, start=start, end=end, score=round(finding.score * _DISGUISE_FACTOR, 4))


def _find(low: str, phrases: Sequence[Phrases]) -> Iterator[Finding]:
    for rules, needles in phrases:
        present = needles.opened_by(low)
        for rule in rules if present else ():
            if any(map(present.isdisjoint, rule.needles)) or not rule.gate.open_for(low):
                continue
            for match in rule.pattern.finditer(low):
                weight = rule.weight * _context(low, match.start(), match.end(), rule)
                yield Finding("injection", "prompt_injection", rule.name, match.start(), match.end(), round(weight, 4))


def _context(low: str, start: int, end: int, rule: Rule) -> float:
    before = low[max(0, start - _REACH) : start]
    factor = 1.0
    if rule.name == "other_language" and _FOREIGN_NOT.search(_clause(low, start, end)):
        factor = _NEGATION
    if (
        rule.name == "repeat_above"
        and _OTHER_FORM.match(low[end : end + _REACH])
        and not _EXACTLY.search(low[start : end + _REACH])
    ):
        factor = _MENTION
    if rule.ordered:
        sentence = _SENTENCE_BREAK.split(before)[-1].lstrip()
        factor = min(factor, _order_factor(sentence))
        if _OWN_WORDS.search(low[start : end + 24]):
            factor *= _OWN_REQUEST
    if _mentioned(low, start, end, before):
        factor *= _MENTION
    return factor


def _clause(low: str, start: int, end: int) -> str:
    """Return the match and what follows it in its clause: a German order is denied at the end."""
    return low[start:end] + _CLAUSE_END.split(low[end : end + _REACH], maxsplit=1)[0]


def _order_factor(sentence: str) -> float:
    """Weigh what stands before the phrase in its sentence: an order, a denial, a question or a report."""
    if _NEGATED.search(sentence):
        return _NEGATION
    if _TO_YOU.search(sentence) and not _ASKED.search(sentence):
        return 1.0
    if _ASKING_YOU.search(sentence) and not _ASKED.search(_TIME.sub("", sentence)) and not _WONDERS.search(sentence):
        return 1.0
    if _ASKED.search(sentence) or _OTHER_SUBJECT.search(sentence):
        return _MENTION
    return 1.0


def _mentioned(low: str, start: int, end: int, before: str) -> bool:
    """Say whether the phrase is shown as words (quoted in talk about words, or led in by `such as`), not used."""
    if _EXAMPLE_LEAD.search(before):
        return True
    after = low[end : end + _REACH]
    line_before, line_after = before.rpartition("\n")[2], after.partition("\n")[0]
    for opening, closing in _QUOTES.items():
        at = line_before.rfind(opening)
        if at == -1 or closing not in line_after:
            continue
        if opening == "'" and at and line_before[at - 1].isalnum():
            continue  # an apostrophe
        if opening == closing and line_before.count(opening) % 2 == 0:
            continue  # the quotation before the phrase is closed
        around = line_before[:at] + " " + line_after[line_after.index(closing) + 1 :]
        return any(each.search(around) is not None for each in (_ABOUT, _ASKED, _ABOUT_ABROAD))
    return False


def find_hidden(text: str, read: Grams, hidden: HiddenHead, threshold: float) -> Iterator[Finding]:
    """Yield the units of a folded document, as it stands and as its disguises hide them, that are wishes to an assistant."""
    yield from find_hidden_orders(text, read, hidden, threshold)
    for reading in readings(text):
        if (
            not reading.by_phrases
            and not reading.aligned
            and any(find_hidden_orders(reading.text, grams(reading.text), hidden, threshold))
        ):
            yield Finding(
                "injection",
                "prompt_injection",
                OUT_OF_PLACE,
                reading.start,
                reading.end,
                0.95,
                "a wish to an assistant in disguise",
            )
