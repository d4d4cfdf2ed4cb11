"""Guard transcript: what was heard in a recording is a model's output, and is guarded as such, in every form in which it is told.

Whole answers are JSON, plain text or subtitles; streams are OpenAI's events or, as vLLM sends them, chunks of a chat.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple, TypeGuard

from sluice_gateway.dataplane.answers import event, stream_broken
from sluice_gateway.dataplane.context import RequestContext
from sluice_gateway.dataplane.deps import Options
from sluice_gateway.dataplane.errors import Blocked, UpstreamBroken
from sluice_gateway.dataplane.sse import chunk_of, payload, split
from sluice_gateway.dataplane.stages.guard_output import SPELT, Checks
from sluice_gateway.dataplane.stages.stream_guard import Released, StreamGuard
from sluice_gateway.dataplane.subtitles import cut
from sluice_gateway.dataplane.tellings import Telling, agreed, taken_from
from sluice_gateway.dataplane.texts import Path, replaced

_TOLD = frozenset({"text", "word"})
_CODES = frozenset({"type", "id", "object", "task", "language", "model", "segment_id"})
_COUNTS = frozenset({"usage", *SPELT})
_OF_DELTA = frozenset({"type", "delta", "segment_id", *SPELT})
_DELTA, _SEGMENT, _DONE = "transcript.text.delta", "transcript.text.segment", "transcript.text.done"


class GuardTranscript:
    """Asks the guardrail about a whole transcript."""

    def __init__(self, guard: Checks) -> None:
        self._guard = guard

    async def json(self, ctx: RequestContext, found: dict[str, Any]) -> dict[str, Any]:
        """Return a transcript with what may be shown of its text, its segments and its words, which agree.

        Where something was taken out, the tokens and log-probabilities that spell it are left out.

        Raises:
            Blocked: the policy lets nothing of it pass.
            Unavailable: the guardrail could not be asked, and the policy fails closed.
        """
        groups: dict[Path, list[tuple[Path, str]]] = {}
        for path, text in _texts((), found):
            told = tuple(step for step in path if isinstance(step, str)) if path[-1] in _TOLD else ()
            groups.setdefault(told, []).append((path, text))
        shown = await self._agreed(ctx, [[text for _, text in group] for group in groups.values()])
        changes = [
            (path, after)
            for group, texts in zip(groups.values(), shown, strict=True)
            for (path, before), after in zip(group, texts, strict=True)
            if after != before
        ]
        return _unspelt(replaced(found, changes)) if changes else found

    async def text(self, ctx: RequestContext, body: bytes) -> bytes:
        """Return plain text or subtitles with what may be shown of the words; times and numbers stay.

        Raises:
            Blocked: the policy lets nothing of it pass.
            Unavailable: the guardrail could not be asked, and the policy fails closed.
            UpstreamBroken: it is no text.
        """
        try:
            parts, said = cut(body.decode())
        except UnicodeDecodeError as exc:
            raise UpstreamBroken("The model's transcript is no text. Try again, or use another model.") from exc
        (shown,) = await self._agreed(ctx, [[parts[at] for at in said]])
        for at, line in zip(said, shown, strict=True):
            parts[at] = line
        return "".join(parts).encode()

    async def _agreed(self, ctx: RequestContext, told: list[list[str]]) -> list[list[str]]:
        tellings = [Telling(pieces) for pieces in told]
        found = []
        for telling in tellings:
            checked = await self._guard.check(ctx, telling.text)
            taken = None if checked.blocked else taken_from(telling.text, checked.text, checked.details)
            if taken is None:
                ctx.judged("blocked")
                raise _refused(ctx)
            found.append(taken)
        if ctx.guard is None:
            ctx.guard = "passed"  # nothing was said
        return [telling.without(taken) for telling, taken in zip(tellings, agreed(tellings, found), strict=True)]


class _Heard(NamedTuple):
    # Words of a stream, and the segment to which they belong.
    text: str
    segment: str | int | None


class StreamedTranscript:
    """Holds back the words of a stream and releases what was checked; a policy that only observes sees them when they have passed.

    Segments are held to the end, where the whole is checked once more, since a value may stand in two of them.
    """

    def __init__(self, guard: Checks, ctx: RequestContext, options: Options) -> None:
        self._ctx = ctx
        self._guard = guard
        self._whole = GuardTranscript(guard)
        self._windows = StreamGuard(
            guard, ctx, window=options.guard_window_chars, holdback=options.guard_holdback_chars
        )
        self._observes = ctx.plan.guard_output == "observe"
        self._seen = ""
        self._segments: list[dict[str, Any]] = []
        self._waiting: list[_Heard] = []
        self._pieces = False  # whether words come in OpenAI's events
        self._named = False
        self._blocked = False

    async def feed(self, events: bytes) -> bytes:
        """Return what goes to the client of some events.

        Raises:
            UpstreamBroken: one of them cannot be read.
            Unavailable: the guardrail could not be asked, and the policy fails closed.
        """
        if self._observes:
            for one in split(events):
                chunk = chunk_of(one) or {}
                told = chunk.get("text") if chunk.get("type") == _DONE else None
                self._seen = told if isinstance(told, str) else self._seen + _said(chunk)
            return events
        out = b""
        for one in split(events):
            if self._blocked:  # the rest is read for its counts alone
                break
            try:
                out += await self._shown(one)
            except Blocked:
                self._blocked = True
        return out

    async def finish(self) -> bytes:
        """Return what was still held.

        Raises:
            Blocked: the policy lets no more of it pass.
            Unavailable: the guardrail could not be asked, and the policy fails closed.
        """
        if self._observes:
            await self._guard.check(self._ctx, self._seen)
            return b""
        if self._blocked:
            raise _refused(self._ctx)
        return await self._rest()

    async def _shown(self, one: bytes) -> bytes:
        ctx = self._ctx
        chunk = chunk_of(one)
        if chunk is None and payload(one) == b"[DONE]":
            return await self._rest() + one
        if chunk is None:
            if payload(one):
                raise stream_broken(ctx, "protocol")
            return one
        if "choices" in chunk:
            return self._written(await self._windows.feed(chunk))
        self._named = one.startswith(b"event:")
        kind = chunk.get("type")
        if kind == _DELTA:
            return self._written(await self._windows.feed(self._heard(chunk)))
        if kind == _SEGMENT:
            self._segments.append(chunk)
            return b""
        if kind != _DONE:
            return self._event(await self._whole.json(ctx, chunk))
        return await self._rest(chunk)

    async def _rest(self, *last: dict[str, Any]) -> bytes:
        out = self._written(await self._windows.finish())
        told = {"segments": self._segments, "last": list(last)}
        self._segments = []
        shown = await self._whole.json(self._ctx, told)
        return out + b"".join(self._event(one) for one in (*shown["segments"], *shown["last"]))

    def _heard(self, chunk: dict[str, Any]) -> dict[str, Any]:
        # A piece as a chunk of a completion, whose fields beside the words are checked too.
        self._pieces = True
        said, segment = chunk.get("delta"), chunk.get("segment_id")
        if isinstance(said, str) and said:
            self._waiting.append(_Heard(said, segment if _is_code(segment) else None))
        beside = {name: value for name, value in chunk.items() if name not in _OF_DELTA}
        return {**beside, "choices": [{"text": said}]}

    def _written(self, released: Released) -> bytes:
        if released.blocked:
            raise _refused(self._ctx)
        if not self._pieces:
            return b"".join(event(chunk) for chunk in released.chunks)
        beside = {name: value for chunk in released.chunks for name, value in chunk.items() if name != "choices"}
        told = "".join(choice.get("text") or "" for chunk in released.chunks for choice in chunk["choices"])
        out = b""
        for one in self._placed(told):
            segment = {} if one.segment is None else {"segment_id": one.segment}
            out += self._event({"type": _DELTA, **beside, "delta": one.text, **segment})
        return out

    def _placed(self, told: str) -> list[_Heard]:
        # What goes out, by its segments. Where something was taken out of the words of several, nobody knows where one ends.
        gone, out = self._gone(), []
        for one in gone:
            if not told.startswith(one.text):
                break
            out.append(one)
            told = told[len(one.text) :]
        changed = {one.segment for one in gone[len(out) :]}
        return [*out, _Heard(told, changed.pop() if len(changed) == 1 else None)] if told else out

    def _gone(self) -> list[_Heard]:
        # Takes what is no longer held out of what waits; what follows each other in one segment becomes one.
        size = sum(len(one.text) for one in self._waiting) - self._windows.held
        out: list[_Heard] = []
        while size > 0:
            text, segment = self._waiting.pop(0)
            if len(text) > size:
                self._waiting.insert(0, _Heard(text[size:], segment))
            text = text[:size]
            size -= len(text)
            before = out.pop().text if out and out[-1].segment == segment else ""
            out.append(_Heard(before + text, segment))
        return out

    def _event(self, told: dict[str, Any]) -> bytes:
        name = told.get("type")
        head = b"event: %b\n" % name.encode() if self._named and isinstance(name, str) else b""
        return head + event(told)


def _refused(ctx: RequestContext) -> Blocked:
    named = ", ".join(ctx.guard_issues) or "policy"
    return Blocked(f"The transcript was refused by the content policy ({named}). Use another recording.")


def _texts(at: Path, value: object) -> Iterator[tuple[Path, str]]:
    # Every text of a transcript but codes, which are one word, and what counts or spells it.
    if isinstance(value, str):
        if value and not (at and at[-1] in _CODES and _is_code(value)):
            yield at, value
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from _texts((*at, place), item)
    elif isinstance(value, dict):
        for name, item in value.items():
            if name not in _COUNTS:
                yield from _texts((*at, name), item)


def _is_code(value: object) -> TypeGuard[str | int]:
    return isinstance(value, int) or (isinstance(value, str) and not any(map(str.isspace, value)))


def _unspelt(value: Any) -> Any:
    if isinstance(value, list):
        return [_unspelt(item) for item in value]
    if isinstance(value, dict):
        kept = {name: _unspelt(item) for name, item in value.items() if name not in SPELT}
        return {**kept, "tokens": []} if isinstance(kept.get("tokens"), list) else kept
    return value


def _said(chunk: dict[str, Any]) -> str:
    choices = chunk.get("choices")
    found = [chunk.get("delta") if chunk.get("type") == _DELTA else None]
    for choice in choices if isinstance(choices, list) else ():
        delta = choice.get("delta")
        found.append(delta.get("content") if isinstance(delta, dict) else choice.get("text"))
    return "".join(one for one in found if isinstance(one, str))
