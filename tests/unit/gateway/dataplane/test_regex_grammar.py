"""Regular expressions and choices as llama.cpp's grammars; llguidance reads the same notation and says what they mean."""

import re

import pytest
from llguidance import LLMatcher, LLTokenizer
from llguidance.gbnf_to_lark import gbnf_to_lark

from sluice_gateway.domain.regex_grammar import NoGrammar, grammar_of_choice, grammar_of_regex


def means(grammar: str, text: str) -> bool:
    lark = LLMatcher.grammar_from_lark(gbnf_to_lark(grammar))
    matcher = LLMatcher(LLTokenizer("byte"), lark, log_level=0)
    data = text.encode()
    return matcher.try_consume_tokens(list(data)) == len(data) and matcher.is_accepting()


@pytest.mark.parametrize(
    "pattern",
    [
        r"^\d{3}-[A-Z]+$",
        r"(yes|no)( please)?",
        r"a.b*?",
        r"[^0-9,]+",
        r"\S+",
        r"[\w.-]+@x\.org",
        r"(?:ab){2,}|c{1,2}",
        "é+",
        r'"\\',
        r"(?P<year>(19|20)\d\d)",
    ],
)
def test_a_grammar_means_what_its_regular_expression_means(pattern: str) -> None:
    grammar = grammar_of_regex(pattern)
    texts = ["123-AB", "12-AB", "yes", "yes please", "no", "maybe", "axb", "ax", "a\nb", "abc", "1", "x.y@x.org", "x@xaorg",
             "abab", "ababab", "ab", "c", "cc", "ccc", "éé", '"\\', "1999", "1899", " "]  # fmt: skip
    told = {text: means(grammar, text) for text in texts}
    assert told == {text: re.fullmatch(pattern, text) is not None for text in texts}
    assert any(told.values())


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        (r"(?=x)y", "looking around"),
        (r"(a)\1", "referring back"),
        (r"(?i)x", "flags"),
        (r"(?i:x)", "flags"),
        (r"[\S ]", "mixes"),
        ("x{2000}", "1000 times"),
        ("(", "no regular expression"),
        ("a" * 10_001, "longer"),
    ],
)
def test_what_no_grammar_can_say_is_refused_with_a_reason(pattern: str, why: str) -> None:
    with pytest.raises(NoGrammar, match=re.escape(why)):
        grammar_of_regex(pattern)


def test_choices_are_exactly_these_texts() -> None:
    choices = ['say "no"', "back\\slash", "two\nlines", "ja"]
    grammar = grammar_of_choice(choices)
    assert all(means(grammar, one) for one in choices)
    assert not means(grammar, "ja ")
    assert not means(grammar, "j")
