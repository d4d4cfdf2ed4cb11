"""Counting a text in the embedding model's tokens, word by word."""

from collections.abc import Iterable, Iterator, Sequence
from operator import sub
from typing import NamedTuple, Protocol, overload


class Word(NamedTuple):
    """A stretch of text that the tokenizer never joins with its neighbours: characters `start` to `end`, exclusive."""

    start: int
    end: int
    tokens: int


class Words(Sequence[Word]):
    """Words by columns: where they start, where they end, and their tokens.

    An object for each word of a document costs more than cutting it into chunks.
    """

    __slots__ = ("ends", "starts", "tokens")

    def __init__(self, starts: list[int], ends: list[int], tokens: list[int]) -> None:
        self.starts, self.ends, self.tokens = starts, ends, tokens

    @classmethod
    def of(cls, words: Iterable[Word]) -> "Words":
        """Return words as columns."""
        if isinstance(words, Words):
            return words
        listed = list(words)
        return cls([word.start for word in listed], [word.end for word in listed], [word.tokens for word in listed])

    def moved(self, by: int) -> "Words":
        """Return the same words so many characters later."""
        if not by:
            return self
        return Words([start + by for start in self.starts], [end + by for end in self.ends], self.tokens)

    def longest(self) -> int:
        """Return the characters of the longest word; 0 if there is none."""
        return max(map(sub, self.ends, self.starts), default=0)

    def __len__(self) -> int:
        return len(self.starts)

    @overload
    def __getitem__(self, at: int) -> Word: ...

    @overload
    def __getitem__(self, at: slice) -> "Words": ...

    def __getitem__(self, at: int | slice) -> "Word | Words":
        if isinstance(at, slice):
            return Words(self.starts[at], self.ends[at], self.tokens[at])
        return Word(self.starts[at], self.ends[at], self.tokens[at])

    def __iter__(self) -> Iterator[Word]:
        return map(Word, self.starts, self.ends, self.tokens)


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
    return sum(Words.of(counter.words(text)).tokens)


def small_words(text: str, words: Words, counter: TokenCounter, max_tokens: int) -> Words:
    """Return the words of `text`; one with more tokens than `max_tokens` is halved until its parts fit."""
    if max(words.tokens, default=0) <= max_tokens:
        return words
    return Words.of(part for word in words for part in _halved(text, word, counter, max_tokens))


def _halved(text: str, word: Word, counter: TokenCounter, max_tokens: int) -> Iterator[Word]:
    if word.tokens <= max_tokens or word.end - word.start < 2:
        yield word
        return
    middle = (word.start + word.end) // 2
    for start, end in ((word.start, middle), (middle, word.end)):
        yield from _halved(text, Word(start, end, count_tokens(text[start:end], counter)), counter, max_tokens)
