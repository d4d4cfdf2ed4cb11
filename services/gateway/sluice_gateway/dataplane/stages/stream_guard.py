"""The windows in which a guarded stream is checked: what the guardrail let pass is released up to a cut that lies a good way before the end of what
is known, at a space, and never inside something that was found. So a finding that is still growing is not let out by halves. The end of what went out
is read again with what follows, since many a value is known by the words before it ("password: …").
"""

from typing import Any, NamedTuple

from sluice.contracts.guard import MAX_TEXT
from sluice_gateway.dataplane.context import RequestContext
from sluice_gateway.dataplane.stages.guard_output import SPELT, Checked, Checks, Place, passed_fields, passed_notes
from sluice_gateway.dataplane.stages.other_text import (
    DETAILS,
    NOTES,
    OF_ANSWER,
    OF_CHOICE,
    TEXT_FIELDS,
    silent,
    texts_of,
)
from sluice_gateway.dataplane.stages.stream_cut import cut_before
from sluice_gateway.dataplane.stages.tool_calls import ONLY, arguments_of, given_in, with_arguments

_READ_AGAIN = (
    160  # characters; the longest way from a name to its value that the detectors go is shorter, but for long commands
)


class Released(NamedTuple):
    """Chunks that may go to the client, and whether the answer, or the choice that was looked at, ends with them."""

    chunks: list[dict[str, Any]]
    blocked: bool


class StreamGuard:
    """Holds back the text of one stream and releases what was checked.

    Each place (a choice's content, its reasoning, a tool call's arguments) has its own held text. Tool arguments are
    released whole at the end, since half of a JSON document cannot be judged. With `whole` all text is held to the end and judged as one.
    A choice that is blocked ends, and the others of the `choices` that were asked for go on.
    """

    def __init__(
        self,
        guard: Checks,
        ctx: RequestContext,
        *,
        window: int,
        holdback: int,
        whole: bool = False,
        choices: int = 1,
    ) -> None:
        self._guard = guard
        self._ctx = ctx
        self._window = MAX_TEXT if whole else window
        self._holdback = holdback
        self._whole = whole
        self._choices = choices
        self._ended: set[int] = set()
        self._usage: dict[str, Any] | None = None
        self._held: dict[Place, str] = {}
        self._calls: dict[Place, dict[str, Any]] = {}
        self._passed: set[int] = set()
        self._notices: set[int] = set()
        self._spoken: set[int] = set()  # choices of which some words went out
        self._due: dict[Place, int] = {}
        self._before: dict[Place, str] = {}  # the end of what went out, after the last thing that was found in it
        self._told: dict[
            str, Any
        ] = {}  # fields beside the choices as they came last, which some servers say again in every chunk
        self._shown: dict[str, Any] = {}
        self.skeleton: dict[str, Any] = {}

    @property
    def held(self) -> int:
        """How many characters that came are held back."""
        return sum(map(len, self._held.values()))

    async def feed(self, chunk: dict[str, Any]) -> Released:
        """Take one chunk of the upstream."""
        self.skeleton = await self._beside(
            {name: value for name, value in chunk.items() if name not in ("choices", "usage")}
        )
        out: list[dict[str, Any]] = []
        for choice in chunk.get("choices") or ():
            index = choice.get("index", 0)
            if index in self._ended:
                continue
            released = await self._choice(choice)
            out += released.chunks
            if released.blocked:
                self._end(index)
        if chunk.get("usage") is not None:
            if chunk.get("choices"):
                self._usage = chunk["usage"]
            else:
                out.append(self.skeleton | {"choices": [], "usage": chunk["usage"]})
        return Released(self._counted(out), blocked=len(self._ended) >= self._choices)

    async def finish(self) -> Released:
        """Check and release everything that is still held."""
        out: list[dict[str, Any]] = []
        for index in sorted({place[0] for place in self._held}):
            released = await self._flush(index)
            out += released.chunks
            if released.blocked:
                self._end(index)
        if self._usage is not None and not out:
            out.append(self.skeleton | {"choices": []})
        return Released(self._counted(out), blocked=bool(self._ended))

    async def _beside(self, told: dict[str, Any]) -> dict[str, Any]:
        # The fields of a chunk beside its choices as they may be shown; nothing stands in place of one that is blocked.
        others = {name: value for name, value in told.items() if name not in OF_ANSWER}
        if others != self._told:
            self._told = others
            self._shown, _ = await passed_fields(self._guard, self._ctx, others, OF_ANSWER)
        return {name: value for name, value in told.items() if name in OF_ANSWER} | self._shown

    def _end(self, index: int) -> None:
        self._ended.add(index)
        for known in (self._held, self._due, self._calls, self._before):
            for place in [place for place in known if place[0] == index]:
                known.pop(place)

    def _counted(self, chunks: list[dict[str, Any]]) -> list[dict[str, Any]]:
        # Some servers tell the usage together with words; these may have to wait, and it goes out with the next chunk that does.
        if self._usage is None or not chunks:
            return chunks
        usage, self._usage = self._usage, None
        return [*chunks[:-1], {**chunks[-1], "usage": usage}]

    async def _choice(self, choice: dict[str, Any]) -> Released:
        index = choice.get("index", 0)
        delta = choice.get("delta")
        rest = self._hold(index, choice, delta if isinstance(delta, dict) else None)
        choice = {name: value for name, value in choice.items() if name not in ("text", "message", *SPELT)}
        choice, _ = await passed_fields(self._guard, self._ctx, choice, OF_CHOICE)
        if NOTES in rest.get("delta", ()):
            passed = await passed_notes(self._guard, self._ctx, rest["delta"].pop(NOTES))
            if passed.blocked is not None:
                return Released([self._stop((index, "content", 0), passed.blocked.text)], blocked=True)
            rest["delta"] |= {NOTES: passed.notes} if passed.notes else {}
        if DETAILS in rest.get("delta", ()) and await self._are_spoilt(rest["delta"][DETAILS]):
            del rest["delta"][DETAILS]
        if choice.get("finish_reason") is not None:
            released = await self._flush(index)
            if released.blocked:
                return released
            if index in self._notices and index not in self._passed:
                choice = {**choice, "finish_reason": "stop"}
            return Released([*released.chunks, self._chunk({**choice, **rest, "logprobs": None})], blocked=False)
        out: list[dict[str, Any]] = []
        if rest.get("delta"):
            out.append(self._chunk({**choice, **rest, "logprobs": None}))
        for place in [place for place in self._held if place[0] == index]:
            released = await self._full_windows(place)
            out += released.chunks
            if released.blocked:
                return Released(out, blocked=True)
        return Released(out, blocked=False)

    async def _full_windows(self, place: Place) -> Released:
        # Looks at the text at places that its length alone decides: how the upstream cut it into chunks changes nothing.
        out: list[dict[str, Any]] = []
        while place[1] != "arguments" and len(self._held.get(place, "")) >= self._due.get(place, self._window):
            released = await self._release(place, self._due.get(place, self._window))
            out += released.chunks
            if released.blocked:
                return Released(out, blocked=True)
        return Released(out, blocked=False)

    def _hold(self, index: int, choice: dict[str, Any], delta: dict[str, Any] | None) -> dict[str, Any]:
        # Takes the text out of a choice and returns what is left of it.
        if delta is None:
            self._add((index, "text", 0), choice.get("text"))
            return {"text": ""}
        left = {name: value for name, value in delta.items() if name not in TEXT_FIELDS}
        for name in TEXT_FIELDS:
            self._add((index, name, 0), delta.get(name))
        if isinstance(delta.get("tool_calls"), list):
            del left["tool_calls"]
            for call in delta["tool_calls"]:
                self._hold_call(index, call)
        if isinstance(delta.get("function_call"), dict):
            self._hold_call(index, {"index": ONLY, "function": delta["function_call"]})
        return {"delta": silent(left)}

    async def _are_spoilt(self, details: list[Any]) -> bool:
        # What the guard would have another way is left out, since what is signed cannot be changed; the same text is in its usual field.
        text = "\n".join(texts_of(details))
        return bool(text) and (await self._guard.check(self._ctx, text)).text != text

    def _hold_call(self, index: int, call: dict[str, Any]) -> None:
        # The whole call is held, its name too: whether it may be made is known when its arguments are.
        place = (index, "arguments", call.get("index", 0))
        holder, field = given_in(call)
        told: dict[str, Any] = {name: value for name, value in (call.get(holder) or {}).items() if name != field}
        known = self._calls.setdefault(place, {})
        called = {holder: {**known.get(holder, {}), **told}} if holder in call else {}
        known.update({**{name: value for name, value in call.items() if value is not None}, **called})
        self._held.setdefault(place, "")
        self._add(place, arguments_of(call))

    def _add(self, place: Place, text: object) -> None:
        if isinstance(text, str) and text:
            self._held[place] = self._held.get(place, "") + text

    async def _flush(self, index: int) -> Released:
        out: list[dict[str, Any]] = []
        for place in sorted(place for place in self._held if place[0] == index):
            released = await self._full_windows(place)
            out += released.chunks
            if not released.blocked:
                released = await self._rest(place)
                out += released.chunks
            if released.blocked:
                return Released(out, blocked=True)
        return Released(out, blocked=False)

    async def _rest(self, place: Place) -> Released:
        text = self._held.pop(place)
        self._due.pop(place, None)
        if place in self._calls:
            return await self._call(place, text)
        checked = await self._check(place, text, whole=self._whole and place[1] in ("content", "text"))
        self._before.pop(place, None)
        if checked.blocked:
            return Released([self._stop(place, checked.text)], blocked=True)
        return Released([self._text(place, checked.text)] if text else [], blocked=False)

    async def _call(self, place: Place, arguments: str) -> Released:
        call = self._calls.pop(place)
        checked = await self._guard.check(self._ctx, arguments, call=call)
        if checked.blocked:
            return Released([self._stop(place, checked.text)], blocked=True)
        if checked.held:
            self._notices.add(place[0])
            return Released([self._text((place[0], "content", 0), checked.text + "\n")], blocked=False)
        self._passed.add(place[0])
        whole = {**with_arguments(call, checked.text), "index": place[2]}
        said = {"function_call": whole["function"]} if place[2] == ONLY else {"tool_calls": [whole]}
        choice = {"index": place[0], "delta": said, "logprobs": None, "finish_reason": None}
        return Released([self._chunk(choice)], blocked=False)

    async def _release(self, place: Place, size: int) -> Released:
        text, rest = self._held[place][:size], self._held[place][size:]
        checked = await self._check(place, text)
        if checked.blocked:
            return Released([self._stop(place, checked.text)], blocked=True)
        cut = cut_before(text, len(text) - self._holdback, checked.details)
        self._due[place] = len(text) - cut + self._window - self._holdback
        self._held[place] = text[cut:] + rest
        if cut == 0:
            return Released([], blocked=False)
        shown = text[:cut]
        if checked.text != text:
            checked = await self._check(place, shown)
            if checked.blocked:
                return Released([self._stop(place, checked.text)], blocked=True)
            shown = checked.text
        found = max((detail.end for detail in checked.details if detail.end <= cut), default=0)
        kept = text[found:cut] if found else self._before.get(place, "") + text[:cut]
        self._before[place] = kept[-_READ_AGAIN:]
        return Released([self._text(place, shown)], blocked=False)

    async def _check(self, place: Place, text: str, *, whole: bool = False) -> Checked:
        """Return what may be shown in place of `text`, read after the end of what went out before it."""
        before = self._before.get(place, "")
        if not before:
            return await self._guard.check(self._ctx, text, whole=whole)
        checked = await self._guard.check(self._ctx, before + text, whole=whole)
        if checked.blocked:
            return checked
        if not checked.text.startswith(before) or any(detail.start < len(before) for detail in checked.details):
            return await self._guard.check(self._ctx, text, whole=whole)  # what went out cannot be called back
        details = tuple(
            detail.model_copy(update={"start": detail.start - len(before), "end": detail.end - len(before)})
            for detail in checked.details
        )
        return Checked(checked.text[len(before) :], blocked=False, details=details)

    def _text(self, place: Place, text: str) -> dict[str, Any]:
        index, field, _ = place
        if text and field in ("content", "text"):
            self._spoken.add(index)
        if field == "text":
            return self._chunk({"index": index, "text": text, "logprobs": None, "finish_reason": None})
        return self._chunk({"index": index, "delta": {field: text}, "logprobs": None, "finish_reason": None})

    def _stop(self, place: Place, text: str) -> dict[str, Any]:
        """Return the last chunk of a choice: what stands in place of the rest begins a paragraph of its own where words went out before."""
        if text and place[0] in self._spoken:
            text = "\n\n" + text
        end: dict[str, Any] = {"index": place[0], "logprobs": None, "finish_reason": "content_filter"}
        if place[1] == "text":
            return self._chunk({**end, "text": text})
        return self._chunk({**end, "delta": {"content": text} if text else {}})

    def _chunk(self, choice: dict[str, Any]) -> dict[str, Any]:
        return {**self.skeleton, "choices": [choice]}
