"""Server-sent events of an OpenAI stream: cut into whole events, with the usage found and the end held back.

The relay forwards whole events only, so that an error event can always be added after the last one, and so that the
event that carries nothing but usage can be left out for a client that did not ask for it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import orjson

from sluice.contracts.base import rounded_usd
from sluice_gateway import nesting
from sluice_gateway.tokens import TokenDetails, counts_of, usage_beside

DONE = b"data: [DONE]\n\n"
_MAX_EVENT = 8 * 1024 * 1024


class Usage(NamedTuple):
    """Token counts as an upstream reported them; `details` is None unless it told of a special kind of token.

    `final` is False for the counts of an unfinished stream that the provider would have gone on counting.
    """

    prompt_tokens: int
    completion_tokens: int
    details: TokenDetails | None = None
    final: bool = True


class Told(NamedTuple):
    """What the usage of an answer comes to: its cost, and the counts where they are others than the upstream reported."""

    cost_usd: float | None
    usage: Usage | None = None


Price = Callable[[Usage], Told]
"""What counts come to, in dollars; None when nobody knows."""


class EventTooLong(Exception):
    """An upstream sent an event without an end."""


class EventCutter:
    """Collects bytes and gives back whole events, whose lines end in LF; `left` is the part of one that is not complete.

    A server may end lines in LF, CRLF or CR, and in each of them at another place. `plain` says that it was LF so far.
    """

    __slots__ = ("_after_cr", "_most", "left", "plain")

    def __init__(self, most: int = _MAX_EVENT) -> None:
        self._most = most
        self._after_cr = False
        self.left = b""
        self.plain = True

    def feed(self, data: bytes) -> bytes:
        """Return all events that are complete now, b"" when there are none yet."""
        if self._after_cr or b"\r" in data:
            data = self._with_lf(data)
        if self.left:
            data = self.left + data
            self.left = b""
        if data.endswith(b"\n\n"):
            return data
        cut = data.rfind(b"\n\n")
        end = cut + 2 if cut >= 0 else 0
        self.left = data[end:]
        if len(self.left) > self._most:
            raise EventTooLong
        return data[:end]

    def _with_lf(self, data: bytes) -> bytes:
        self.plain = False
        if data and self._after_cr:
            data = data.removeprefix(b"\n")  # the rest of a CRLF that was cut
            self._after_cr = False
        self._after_cr = self._after_cr or data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def rest(self) -> bytes:
        """Return what is left at the end of the stream: an event whose last line end is missing."""
        rest, self.left = self.left, b""
        return rest


def split(events: bytes) -> list[bytes]:
    """Return the events of a piece of a stream, each with its line ends."""
    if b"\r\n\r\n" in events:
        return [part + b"\r\n\r\n" for part in events.split(b"\r\n\r\n") if part.strip()]
    return [part + b"\n\n" for part in events.split(b"\n\n") if part.strip()]


def payload(event: bytes) -> bytes:
    """Return the data of one event: its `data:` lines joined, b"" for a comment."""
    if event.startswith(b"data:") and event.find(b"\n") == len(event) - 2 and event.find(b"\r") < 0:
        return event[5:].strip()  # one line, as most events are
    lines = [line[5:].strip() for line in event.splitlines() if line.startswith(b"data:")]
    return lines[0] if len(lines) == 1 else b"\n".join(lines)


def chunk_of(event: bytes) -> dict[str, Any] | None:
    """Return the chunk object of one event, None for a comment, `[DONE]`, or what is no JSON object."""
    data = payload(event)
    if not data.startswith(b"{"):
        return None
    try:
        found = nesting.loads(data)
    except orjson.JSONDecodeError:
        return None
    return found if type(found) is dict else None


def usage_of(answer: dict[str, Any]) -> Usage | None:
    """Return the token counts of an answer or chunk, None if it has none that make sense."""
    usage = answer.get("usage")
    if type(usage) is not dict:
        return None
    if (
        usage.get("prompt_tokens") is None and "input_tokens" in usage
    ):  # images and speech are counted under other names
        usage = {
            "prompt_tokens": usage["input_tokens"],
            "completion_tokens": usage.get("output_tokens"),
            "prompt_tokens_details": usage.get("input_tokens_details") or usage.get("input_token_details"),
            "total_tokens": None,
        }
    elif usage.get("prompt_tokens") is None and answer.get("object") == "list":  # embeddings of Voyage
        usage = {"prompt_tokens": usage.get("total_tokens")}
    found = counts_of(usage)
    return None if found is None else Usage(*found)


def is_failure(chunk: dict[str, Any]) -> bool:
    """Tell whether an answer or chunk with choices says that it broke off, as OpenRouter writes it (`finish_reason: error`)."""
    choices = chunk.get("choices")
    for choice in choices if type(choices) is list else ():
        if type(choice) is dict and choice.get("finish_reason") == "error":
            return True
    return False


def is_last(chunk: dict[str, Any]) -> bool:
    """Tell whether the counts in a chunk are those of the whole answer: it has no more to say, or why the answer ended."""
    choices = chunk.get("choices")
    return not choices or any(isinstance(choice, dict) and choice.get("finish_reason") for choice in choices)


def with_cost(chunk: dict[str, Any], told: Told) -> dict[str, Any]:
    """Return a chunk whose usage also says what the answer costs."""
    usage = chunk["usage"] if told.usage is None else counted(chunk["usage"], told.usage)
    return {**chunk, "usage": {**usage, "sluice": {"cost_usd": shown_cost(told)}}}


def shown_cost(told: Told) -> float | None:
    """Return a cost as clients read it, without the noise of binary fractions."""
    return None if told.cost_usd is None else rounded_usd(told.cost_usd)


def counted(usage: dict[str, Any], whole: Usage) -> dict[str, Any]:
    """Return the usage of an answer with other counts."""
    prompt, completion = whole.prompt_tokens, whole.completion_tokens
    return {**usage, "prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def carries(chunk: dict[str, Any]) -> bool:
    """Tell whether a chunk carries a piece of the answer, not only who speaks, why it ended, or the counts."""
    choices = chunk.get("choices")
    return isinstance(choices, list) and any(isinstance(choice, dict) and _says(choice) for choice in choices)


def _says(choice: dict[str, Any]) -> bool:
    delta = choice.get("delta")
    if isinstance(delta, dict):
        return any(value for name, value in delta.items() if name != "role")
    return bool(choice.get("text"))


class StreamPiece(NamedTuple):
    """What one read of a stream comes to: bytes for the client, and whether the stream said that it is done."""

    events: bytes
    done: bool


class Scanner(Protocol):
    """Follows a stream while it is relayed."""

    @property
    def chunks(self) -> int:
        """How many pieces of the answer came."""
        ...

    @property
    def usage(self) -> Usage | None:
        """The token counts, as far as they are known."""
        ...

    @property
    def failed(self) -> bool:
        """Whether the upstream told of a failure."""
        ...

    def feed(self, data: bytes) -> StreamPiece:
        """Take one read of the upstream and return what goes to the client now, without the final `[DONE]`."""
        ...

    def finish(self) -> StreamPiece:
        """Return what is left when the upstream has closed its stream."""
        ...


class StreamScanner:
    """Follows a stream that is relayed as it came: finds its usage, counts its chunks, leaves out what was not asked for.

    `price` is None when the client did not ask for the usage; else what it comes to is put beside it. Counts that stand
    alone are told at the end: llama.cpp sends them when the first of several answers ends, while others go on.
    """

    __slots__ = ("_count", "_counts", "_cutter", "_each", "_first", "_last", "_price", "_whole", "failed", "usage")

    def __init__(self, price: Price | None) -> None:
        self._cutter = EventCutter()
        self._whole = False  # whether only whole events came, whose lines end in the usual way
        self._price = price
        self.usage: Usage | None = None
        self.failed = False
        self._counts: tuple[dict[str, Any], Usage] | None = None  # a chunk and what it counts, not told yet
        self._each: dict[int, int] = {}  # how long each answer is, by its index, where the server counts each of them
        self._count = 0
        self._first = self._last = b""

    @property
    def chunks(self) -> int:
        """How many pieces of the answer came.

        All events are counted as they pass. The first may say no more than who speaks, and the last no more than why it
        ended; that is looked at only when somebody asks, which is when the upstream did not count itself.
        """
        ends = split(self._first)[:1] if self._count else []
        ends += split(self._last)[-1:] if self._count > 1 else []
        return self._count - sum(1 for one in ends if (chunk := chunk_of(one)) is not None and not carries(chunk))

    def feed(self, data: bytes) -> StreamPiece:
        """Take one read of the upstream and return what goes to the client now, without the final `[DONE]`."""
        cutter = self._cutter
        events = cutter.feed(data)
        self._whole = cutter.plain and not cutter.left
        return self._scan(events)

    def passes(self, chunks: bytes) -> bool:
        """Tell whether chunks of HTTP's coding may go to the client as they came: whole events that nobody needs to look at.

        They are counted then, and are not to be fed.
        """
        if not (self._whole and chunks.endswith(b"\n\n\r\n")):
            return False
        # From the end, which is twice as fast.
        if chunks.rfind(b'"usage"') >= 0 or chunks.rfind(b"[DONE]") >= 0 or chunks.rfind(b'"error"') >= 0:
            return False
        self._count += chunks.count(b"\ndata:")
        self._last = chunks  # its lines of data are what they are without the lengths between them
        return True

    def finish(self) -> StreamPiece:
        """Return what is left when the upstream has closed its stream."""
        rest = self._cutter.rest()
        last = self._scan(rest + b"\n\n") if rest.strip() else StreamPiece(b"", done=False)
        return StreamPiece(last.events + self._held(), last.done)

    def _scan(self, events: bytes) -> StreamPiece:
        if b'"usage"' not in events and b"[DONE]" not in events and b'"error"' not in events:
            if events:
                self._count += events.count(b"\ndata:") + events.startswith(b"data:")
                self._last = events
                self._first = self._first or events
            return StreamPiece(events, done=False)
        return self._scan_each(split(events))

    def _scan_each(self, events: list[bytes]) -> StreamPiece:
        kept: list[bytes] = []
        done = False
        for event in events:
            if payload(event) == b"[DONE]":
                done = True
            elif shown := self._shown(event):
                kept.append(shown)
                self._last = event
                self._first = self._first or event
        if done:
            kept.append(self._held())
        return StreamPiece(b"".join(kept), done)

    def _shown(self, event: bytes) -> bytes:
        # What the client gets for one event, b"" for nothing.
        chunk = chunk_of(event)
        if chunk is None:
            # What is no JSON goes on as it does where nobody looks: left out, the answer would seem whole.
            return event if payload(event) or not event.startswith(b"data:") else b""
        answers = bool(chunk.get("choices"))
        if ("error" in chunk and not answers) or is_failure(chunk):
            self.failed = True
            return b""
        self._count += answers
        usage = usage_of(chunk)
        if usage is None:
            self._take_beside(chunk)
            return event
        if self.usage is None or usage.prompt_tokens or usage.completion_tokens:
            self.usage = usage
        if self._price is None:
            return event if answers else b""
        if not is_last(chunk):
            return event
        if answers:
            return self._priced(chunk, self._price(usage))
        self._counts = chunk, usage
        return b""

    def _take_beside(self, chunk: dict[str, Any]) -> None:
        # Counts where only some servers write them go out as they came, and at the end once more where all clients look.
        found = usage_beside(chunk)
        usage = None if found is None else usage_of(chunk | {"usage": found.usage})
        if found is None or usage is None:
            return
        self._each[found.number] = usage.completion_tokens
        self.usage = usage = usage._replace(completion_tokens=sum(self._each.values()))
        self._counts = {**chunk, "choices": [], "usage": counted(found.usage, usage)}, usage

    def _held(self) -> bytes:
        # The counts that were held back, if any, as they are by now.
        if self._counts is None or self._price is None:
            return b""
        (chunk, usage), self._counts = self._counts, None
        return self._priced(chunk, self._price(usage))

    def _priced(self, chunk: dict[str, Any], told: Told) -> bytes:
        return b"data: " + orjson.dumps(with_cost(chunk, told)) + b"\n\n"
