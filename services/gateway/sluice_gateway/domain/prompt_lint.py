"""What can be seen in a prompt before a model is asked with it (handbook F114): variables, lengths that cannot both be kept, its own cost."""

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

from sluice.contracts.prompts import LintFinding, PromptLint, PromptSections, PromptTemplate
from sluice_gateway.domain.prompts import variables_of

BYTES_PER_TOKEN = 4
_PLACE = re.compile(r"\{\{([^{}\n]{0,80})\}\}")
_GOOD_NAME = re.compile(r"[ \t]*[A-Za-z_][A-Za-z0-9_]{0,63}[ \t]*")
_LONG_LINE = 40  # characters from which on a repeated line is no heading
_WORDS = {"word": 1, "sentence": 20, "paragraph": 100, "character": 1 / 6, "token": 0.75}
_NUMBERS = {
    name: number
    for number, name in enumerate(
        ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"], start=1
    )
} | {"a": 1, "an": 1, "a single": 1, "twenty": 20, "fifty": 50, "a hundred": 100}
_NUMBER = rf"(?P<number>\d[\d,]{{0,8}}|{'|'.join(sorted(_NUMBERS, key=len, reverse=True))})"
_UNIT = rf"(?P<unit>{'|'.join(_WORDS)})s?\b"
_MOST = re.compile(
    rf"\b(?:at most|no more than|not more than|up to|maximum(?: of)?|max\.?|under|below|fewer than|less than|within)\s+{_NUMBER}\s+{_UNIT}",
    re.IGNORECASE,
)
_LEAST = re.compile(
    rf"\b(?:at least|no fewer than|no less than|not less than|minimum(?: of)?|more than|over)\s+{_NUMBER}\s+{_UNIT}",
    re.IGNORECASE,
)
_EXACT = re.compile(rf"\b(?:in|with|exactly|precisely)\s+(?:exactly\s+)?{_NUMBER}\s+(?:\w+\s+)?{_UNIT}", re.IGNORECASE)
_NEGATED = re.compile(r"\b(?:no|not)\s*$", re.IGNORECASE)
_SHORT = re.compile(
    r"\b(?:be|keep (?:it|your answers?)|answer)?\s*(brief|briefly|concise|concisely|terse|tersely|succinct)\b",
    re.IGNORECASE,
)
_LONG = re.compile(
    r"\b(comprehensive|exhaustive|in[- ](?:great |full |more )?(?:detail|depth)|as (?:long|detailed) as possible|thorough)\b",
    re.IGNORECASE,
)
_DEMANDS = ("system", "task", "output_format")  # what says how an answer should be; the others are what it is about


class ModelFacts(NamedTuple):
    """What is known of the prompt's model: how long a prompt it reads, and US dollars for a token of it."""

    context_tokens: int | None
    input_price: float | None


class Length(NamedTuple):
    """A demand on the length of an answer, in words, and where it stands."""

    kind: Literal["least", "most"]
    words: float
    section: str
    said: str


def linted(template: PromptTemplate, model: ModelFacts | None, more: tuple[LintFinding, ...] = ()) -> PromptLint:
    """Return what is found in a template; `model` is None when it names none that is known, `more` what others found in its texts."""
    texts = list(texts_of(template.sections))
    names = variables_of(template.sections)
    tokens = -(-sum(len(_PLACE.sub("", text).encode()) for _, text in texts) // BYTES_PER_TOKEN)
    findings = (
        *_variables(template, texts, names),
        *_lengths(template, texts),
        *_repeated(texts),
        *_model(template, model, tokens),
        *more,
    )
    price = None if model is None else model.input_price
    return PromptLint(
        ok=all(one.level != "error" for one in findings),
        required=tuple(name for name in names if name not in template.defaults),
        optional=tuple(name for name in names if name in template.defaults),
        tokens=tokens,
        cost_per_1000_usd=None if price is None else tokens * price * 1000,
        findings=findings,
    )


def texts_of(sections: PromptSections) -> Iterator[tuple[str, str]]:
    """Yield the texts of a prompt with the names of their sections."""
    for name in ("system", "context", "task", "input", "output_format"):
        if (text := getattr(sections, name)) is not None:
            yield name, text
    for example in sections.examples:
        yield "examples", example.input
        yield "examples", example.output


def _variables(template: PromptTemplate, texts: list[tuple[str, str]], names: tuple[str, ...]) -> Iterator[LintFinding]:
    for name in template.defaults:
        if name not in names:
            yield LintFinding(
                code="unused_default",
                level="error",
                message=f"`defaults` has a value for {name}, which stands in no section: use it as {{{{{name}}}}}, or take it out.",
            )
    for section, text in texts:
        for match in _PLACE.finditer(text):
            if _GOOD_NAME.fullmatch(match[1]) is None:
                yield LintFinding(
                    code="not_a_variable",
                    level="warning",
                    section=section,
                    message=f"{match[0]} is sent as it stands: names of variables have letters, digits and underscores.",
                )
    for name in variables_of(PromptSections(system=template.sections.system)) if template.sections.system else ():
        if name not in template.defaults:
            yield LintFinding(
                code="variable_in_system",
                level="warning",
                section="system",
                message=f"Every request fills {name} into the system message: a user's words belong into `input`, where they weigh less.",
            )


def _lengths(template: PromptTemplate, texts: list[tuple[str, str]]) -> Iterator[LintFinding]:
    demands = [one for section, text in texts if section in _DEMANDS for one in lengths_in(section, text)]
    least = max((one for one in demands if one.kind == "least"), key=lambda one: one.words, default=None)
    most = min((one for one in demands if one.kind == "most"), key=lambda one: one.words, default=None)
    if least is not None and most is not None and least.words > most.words:
        yield LintFinding(
            code="contradictory_length",
            level="error",
            section=least.section,
            message=f"\u201c{least.said}\u201d cannot be kept with \u201c{most.said}\u201d ({most.section}).",
        )
    short, long = (_first(pattern, texts) for pattern in (_SHORT, _LONG))
    if short is not None and long is not None:
        yield LintFinding(
            code="contradictory_length",
            level="warning",
            section=long[0],
            message=f"\u201c{long[1]}\u201d asks for a long answer, \u201c{short[1]}\u201d ({short[0]}) for a short one.",
        )
    allowed = template.parameters.get("max_completion_tokens", template.parameters.get("max_tokens"))
    if least is not None and type(allowed) is int and least.words / _WORDS["token"] > allowed:
        yield LintFinding(
            code="answer_cut_off",
            level="error",
            section=least.section,
            message=f"\u201c{least.said}\u201d takes about {least.words / _WORDS['token']:.0f} tokens, and the parameters allow {allowed}.",
        )


def lengths_in(section: str, text: str) -> Iterator[Length]:
    """Yield the lengths that a text demands in numbers, in words: a sentence counts as 20, a paragraph as 100, a token as 3/4."""
    for match in _MOST.finditer(text):
        if _NEGATED.search(text, 0, match.start()) is None:  # else "no fewer than"
            yield Length("most", _words(match), section, match[0])
    for match in _LEAST.finditer(text):
        if _NEGATED.search(text, 0, match.start()) is None:
            yield Length("least", _words(match), section, match[0])
    for match in _EXACT.finditer(text):
        words = _words(match)
        # what is said of sentences and paragraphs is no exact number of words
        slack = 1.0 if match["unit"].lower() in ("word", "token") else 2.0
        yield Length("most", words * slack, section, match[0])
        yield Length("least", words / (slack * 2), section, match[0])


def _words(match: re.Match[str]) -> float:
    said = match["number"].lower()
    number = _NUMBERS.get(said) or int(said.replace(",", "") or 0)
    return number * _WORDS[match["unit"].lower()]


def _first(pattern: re.Pattern[str], texts: list[tuple[str, str]]) -> tuple[str, str] | None:
    found = ((section, pattern.search(text)) for section, text in texts if section in _DEMANDS)
    return next(((section, match[1]) for section, match in found if match is not None), None)


def _repeated(texts: list[tuple[str, str]]) -> Iterator[LintFinding]:
    seen: dict[str, str] = {}
    for section, text in texts:
        for line in {one.strip() for one in text.splitlines()}:
            if len(line) < _LONG_LINE:
                continue
            if line in seen:
                yield LintFinding(
                    code="repeated_text",
                    level="warning",
                    section=section,
                    message=f"\u201c{line[:60]}\u2026\u201d stands in {seen[line]} as well, and is paid for twice.",
                )
            seen.setdefault(line, section)


def _model(template: PromptTemplate, model: ModelFacts | None, tokens: int) -> Iterator[LintFinding]:
    if template.model is not None and model is None:
        yield LintFinding(
            code="unknown_model",
            level="warning",
            message=f"There is no model or route {template.model} that this API key may use.",
        )
    longest = None if model is None else model.context_tokens
    if longest is not None and tokens > longest:
        yield LintFinding(
            code="prompt_too_long",
            level="error",
            message=f"The prompt's own text has about {tokens} tokens, and its model reads {longest}.",
        )
