"""Counting a text in the embedding model's tokens, word by word."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol


class Word(NamedTuple):
    """A stretch of text that the tokenizer never joins with its neighbours: characters `start` to `end`, exclusive."""

    start: int
    end: int
    tokens: int


class TokenCounter(Protocol):
    """Splits a text into words with their numbers of tokens.

    Words come in order, do not overlap, and hold every character that becomes a token. The number of tokens of a text
    cut between words is the sum over its words.
    """

    def words(self, text: str) -> Sequence[Word]:
        """Return the words of `text`."""
        ...


def count_tokens(text: str, counter: TokenCounter) -> int:
    """Return the number of tokens of `text`, without the model's special tokens."""
    return sum(word.tokens for word in counter.words(text))


def small_words(text: str, start: int, words: Sequence[Word], counter: TokenCounter, max_tokens: int) -> Iterator[Word]:
    """Yield the words found in `text` from `start` on, as places in `text`; one with more tokens than `max_tokens` is halved until its parts fit."""
    for word in words:
        placed = Word(start + word.start, start + word.end, word.tokens) if start else word
        if word.tokens <= max_tokens:
            yield placed
        else:
            yield from _halved(text, placed, counter, max_tokens)


def _halved(text: str, word: Word, counter: TokenCounter, max_tokens: int) -> Iterator[Word]:
    if word.tokens <= max_tokens or word.end - word.start < 2:
        yield word
        return
    middle = (word.start + word.end) // 2
    for start, end in ((word.start, middle), (middle, word.end)):
        yield from _halved(text, Word(start, end, count_tokens(text[start:end], counter)), counter, max_tokens)
