"""Regular expressions and choices as GBNF, the grammar notation of llama.cpp.

https://github.com/ggml-org/llama.cpp/blob/master/grammars/README.md
"""

import re
from collections.abc import Callable, Sequence
from re import _constants as sre  # type: ignore[attr-defined] # the parser's own names; there are no others
from re import _parser  # type: ignore[attr-defined] # not in the stubs of Python's library either
from typing import Any

_MOST_REPEATS = 1000
_LONGEST = 10_000
_CLASSES = {"CATEGORY_DIGIT": "0-9", "CATEGORY_WORD": "A-Za-z0-9_", "CATEGORY_SPACE": r" \t\n\r\x0b\x0c"}
_NEGATED = {
    "CATEGORY_NOT_DIGIT": "CATEGORY_DIGIT",
    "CATEGORY_NOT_WORD": "CATEGORY_WORD",
    "CATEGORY_NOT_SPACE": "CATEGORY_SPACE",
}
_LETTERS = {"d": "0-9", "w": "A-Za-z0-9_", "s": r" \t\n\r"}
_MARKS = re.compile(r"\\.|[\[\]]", re.DOTALL)
_ENDS = re.compile(r"(?<!\\)(?:\\\\)*\$\Z")
_DATA = frozenset({"enum", "const", "default", "examples", "description"})
_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t", '"': r"\"", "\\": r"\\"}
_BYTE, _WIDE = 0x80, 0x10000
_ANCHORS = frozenset({"AT_BEGINNING", "AT_BEGINNING_STRING", "AT_END", "AT_END_STRING"})

Node = tuple[Any, Any]


class NoGrammar(ValueError):
    """A regular expression that no such grammar can stand for; the sentence says why."""


def grammar_of_choice(choices: Sequence[str]) -> str:
    """Return the grammar of exactly these texts."""
    return "root ::= " + " | ".join(_text(choice) for choice in choices)


def grammar_of_regex(pattern: str) -> str:
    """Return the grammar of the texts that a regular expression of Python matches as a whole.

    Raises:
        NoGrammar: it is none, or it looks around, refers back, or sets flags, which a grammar cannot.
    """
    if len(pattern) > _LONGEST:
        raise NoGrammar(f"is longer than {_LONGEST} characters")
    try:
        parsed = _parser.parse(pattern)
    except (re.error, RecursionError, OverflowError) as exc:
        raise NoGrammar(f"is no regular expression: {exc}") from exc
    if parsed.state.flags & ~re.UNICODE.value:
        raise NoGrammar("sets flags such as (?i), which a grammar has no word for")
    nodes = _without_anchors(list(parsed))
    return "root ::= " + (_sequence(nodes) or '""')


def patterns_spelled_out(schema: Any) -> Any:
    """Return a JSON schema (or what holds one) whose patterns llama.cpp can write by: anchored at both ends, without \\d, \\w and \\s.

    It takes any text for a pattern that it cannot read. What the new patterns match the old ones match too.
    """
    if type(schema) is list:
        return [patterns_spelled_out(one) for one in schema]
    if type(schema) is not dict:
        return schema
    return {
        name: _spelled_out(value)
        if name == "pattern" and type(value) is str
        else value
        if name in _DATA
        else patterns_spelled_out(value)
        for name, value in schema.items()
    }


def _spelled_out(pattern: str) -> str:
    inside = False

    def put(found: re.Match[str]) -> str:
        nonlocal inside
        mark = found[0]
        if len(mark) == 1:
            inside = mark == "["
            return mark
        letters = _LETTERS.get(mark[1].lower())
        negated = mark[1].isupper()
        if letters is None or (inside and negated):
            return mark
        return letters if inside else f"[{'^' if negated else ''}{letters}]"

    begins, ends = pattern.startswith("^"), _ENDS.search(pattern) is not None
    spelled = _MARKS.sub(put, pattern)
    if begins and ends:
        return spelled
    middle = spelled.removeprefix("^") if begins else spelled.removesuffix("$") if ends else spelled
    return f"^{'' if begins else '.*'}({middle}){'' if ends else '.*'}$"


def _without_anchors(nodes: list[Node]) -> list[Node]:
    # The answer is matched as a whole, so that anchors at both ends say nothing new.
    while nodes and nodes[0][0] is sre.AT and str(nodes[0][1]) in _ANCHORS:
        nodes = nodes[1:]
    while nodes and nodes[-1][0] is sre.AT and str(nodes[-1][1]) in _ANCHORS:
        nodes = nodes[:-1]
    return nodes


def _sequence(nodes: Sequence[Node]) -> str:
    parts: list[str] = []
    letters = ""
    for operator, argument in nodes:
        if operator is sre.LITERAL:
            letters += chr(argument)
            continue
        if letters:
            parts.append(_text(letters))
            letters = ""
        parts.append(_node(operator, argument))
    if letters:
        parts.append(_text(letters))
    return " ".join(parts)


def _node(operator: Any, argument: Any) -> str:
    write = _WRITERS.get(operator)
    if write is None:
        raise NoGrammar(
            f"uses {str(operator).lower()} (looking around, referring back), which a grammar has no word for"
        )
    return write(argument)


def _group(argument: Any) -> str:
    _, add, remove, inner = argument
    if add or remove:
        raise NoGrammar("sets flags such as (?i), which a grammar has no word for")
    return f"({_sequence(inner)})"


def _branch(argument: Any) -> str:
    return "(" + " | ".join(_sequence(branch) or '""' for branch in argument[1]) + ")"


def _repeat(argument: Any) -> str:
    least, most, inner = argument
    endless = most is sre.MAXREPEAT
    if least > _MOST_REPEATS or (not endless and most > _MOST_REPEATS):
        raise NoGrammar(f"repeats something more than {_MOST_REPEATS} times")
    short = {(0, True): "*", (1, True): "+"}.get((least, endless)) or ("?" if (least, most) == (0, 1) else None)
    bounds = short or (f"{{{least},}}" if endless else f"{{{least},{most}}}")
    return f"({_sequence(inner)}){bounds}"


def _set(argument: Any) -> str:
    items = list(argument)
    negated = bool(items) and items[0][0] is sre.NEGATE
    if negated:
        items = items[1:]
    if len(items) == 1 and items[0][0] is sre.CATEGORY and str(items[0][1]) in _NEGATED:
        negated, items = not negated, [(sre.CATEGORY, _NEGATED[str(items[0][1])])]
    return f"[{'^' if negated else ''}{''.join(_item(*item) for item in items)}]"


def _item(operator: Any, argument: Any) -> str:
    if operator is sre.LITERAL:
        return _in_class(argument)
    if operator is sre.RANGE:
        return f"{_in_class(argument[0])}-{_in_class(argument[1])}"
    if operator is sre.CATEGORY and str(argument) in _CLASSES:
        return _CLASSES[str(argument)]
    raise NoGrammar("mixes a class such as \\S with others in one set, which a grammar has no word for")


def _in_class(code: int) -> str:
    return _escaped(chr(code), plain=chr(code).isalnum())


def _text(letters: str) -> str:
    return '"' + "".join(_in_text(letter) for letter in letters) + '"'


def _in_text(letter: str) -> str:
    return _escaped(letter, plain=letter.isprintable() and letter not in '"\\')


def _escaped(letter: str, *, plain: bool) -> str:
    code = ord(letter)
    if plain:
        return letter
    return _SHORT.get(letter) or (
        f"\\x{code:02x}" if code < _BYTE else f"\\u{code:04x}" if code < _WIDE else f"\\U{code:08x}"
    )


_WRITERS: dict[Any, Callable[[Any], str]] = {
    sre.ANY: lambda _: r"[^\n]",
    sre.IN: _set,
    sre.NOT_LITERAL: lambda code: f"[^{_in_class(code)}]",
    sre.CATEGORY: lambda name: _set([(sre.CATEGORY, name)]),
    sre.BRANCH: _branch,
    sre.SUBPATTERN: _group,
    sre.MAX_REPEAT: _repeat,
    sre.MIN_REPEAT: _repeat,
}
