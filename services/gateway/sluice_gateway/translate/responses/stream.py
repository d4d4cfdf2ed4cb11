"""The hub's chunks as the events and the object of a response."""

import re
from collections.abc import Sequence

from sluice_gateway.translate import hub
from sluice_gateway.translate.calls import CallNumbers
from sluice_gateway.translate.events import write_named
from sluice_gateway.translate.hub import details
from sluice_gateway.translate.responses import thoughts
from sluice_gateway.translate.said import Reader
from sluice_gateway.translate.shapes import Asked, Evidence, Failure, Json, Usage

_ECHOED: dict[str, object] = {
    "instructions": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "temperature": None,
    "tool_choice": "auto",
    "tools": [],
    "top_p": None,
    "max_output_tokens": None,
    "reasoning": None,
    "text": {"format": {"type": "text"}},
    "truncation": "disabled",
    "user": None,
}
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
_MARK = re.compile(r"\[(\d{1,4})\]")
_CODES = {429: "rate_limit_exceeded", 400: "invalid_prompt"}


def usage_json(usage: Usage) -> Json:
    """Return token counts in the Responses API's shape."""
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": usage.cache_write_tokens},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }


class EventsOut:
    """Writes one stream, and holds the response as it grows; items come one after the other."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._number = 0
        self._out: list[bytes] = []
        self._items: list[Json] = []
        self._open: Json | None = None
        self._calls: dict[int, int] = {}
        self._numbers = CallNumbers()
        self._reader = Reader()
        self._signed: list[Json] = []
        self._usage: Usage | None = None
        self._cost: Json = {}
        self._finish: str | None = None

    def feed(self, chunks: Sequence[Json]) -> bytes:
        """Return the events for some chunks."""
        for chunk in chunks:
            self._begin()
            self._usage = hub.read_usage(chunk) or self._usage
            self._cost = hub.read_cost(chunk) or self._cost
            choices = chunk.get("choices")
            if choices and not choices[0].get("index"):
                self._finish = choices[0].get("finish_reason") or self._finish
                self._delta(self._reader.read(details(choices[0], "delta")), choices[0].get("logprobs"))
        return self._taken()

    def finish(self) -> bytes:
        """Return what ends a stream that is complete."""
        self._begin()
        self.close_items()
        response = self.response()
        self._event(f"response.{response['status']}", {"response": response})
        return self._taken()

    def fail(self, error: Failure) -> bytes:
        """Return what ends a stream that broke."""
        self._begin()
        if self._open is not None:
            self._open["status"] = "incomplete"
        code = _CODES.get(error.status, "server_error")
        failed = {**self.shell("failed"), "error": {"code": code, "message": error.message}}
        self._event("response.failed", {"response": failed})
        return self._taken()

    def response(self) -> Json:
        """Return the response as it is now, with all items closed."""
        reason = _INCOMPLETE.get(self._finish or "")
        found = self.shell("completed" if reason is None else "incomplete")
        found["incomplete_details"] = None if reason is None else {"reason": reason}
        found["usage"] = None if self._usage is None else usage_json(self._usage) | self._cost
        return found

    def close_items(self) -> None:
        """Say what is left and close what is open, as at the end of a whole answer."""
        self._delta(self._reader.rest(), None)
        self._close()

    def shell(self, status: str) -> Json:
        """Return the response as it is now, with this status and no counts."""
        asked = self._asked.fields
        echoed = {name: asked[name] if asked.get(name) is not None else value for name, value in _ECHOED.items()}
        return {
            "id": self._asked.id,
            "object": "response",
            "created_at": self._asked.created,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "model": self._asked.model,
            "output": [*self._items],
            "previous_response_id": None,
            "store": False,
            "usage": None,
            **echoed,
        }

    def _begin(self) -> None:
        if self._number == 0:
            shell = self.shell("in_progress")
            self._event("response.created", {"response": shell})
            self._event("response.in_progress", {"response": shell})
            if self._asked.evidence is not None:
                self._search(self._asked.evidence)

    def _search(self, evidence: Evidence) -> None:
        item: Json = {
            "type": "file_search_call",
            "id": self._identity("fs"),
            "queries": [*evidence.queries],
            "results": [*evidence.sources.values()] if evidence.shown else None,
        }
        self._items.append({**item, "status": "completed"})
        place = {"output_index": len(self._items) - 1}
        shown = {**item, "results": None, "status": "in_progress"}
        self._event("response.output_item.added", {**place, "item": shown})
        for state in ("in_progress", "searching", "completed"):
            self._event(f"response.file_search_call.{state}", {**place, "item_id": item["id"]})
        self._event("response.output_item.done", {**place, "item": self._items[-1]})

    def _annotate(self, part: Json, place: Json) -> None:
        evidence = self._asked.evidence
        if evidence is None:
            return
        for match in _MARK.finditer(part["text"]):
            source = evidence.sources.get(int(match.group(1)))
            if source is None:
                continue
            note = {
                "type": "file_citation",
                "index": match.start(),
                "file_id": source["file_id"],
                "filename": source["filename"],
            }
            part["annotations"].append(note)
            number = len(part["annotations"]) - 1
            self._event(
                "response.output_text.annotation.added", {**place, "annotation_index": number, "annotation": note}
            )

    def _delta(self, delta: Json, logprobs: object) -> None:
        seen = delta.get("reasoning_content") or delta.get("reasoning")
        if isinstance(seen, str) and seen:
            self._reasoning()
            self._grow("summary", "response.reasoning_summary_text.delta", {"summary_index": 0}, seen)
        signed = delta.get("reasoning_details")
        if signed:
            self._reasoning()
            self._signed += signed
        for name, kind in (("content", "output_text"), ("refusal", "refusal")):
            words = delta.get(name)
            if isinstance(words, str) and words:
                self._message(kind)
                self._words(kind, words, logprobs)
        for call in delta.get("tool_calls") or ():
            self._call(call)

    def _open_item(self, item: Json) -> None:
        self._close()
        self._open = {**item, "status": "in_progress"}
        self._items.append(self._open)
        self._event("response.output_item.added", {"output_index": len(self._items) - 1, "item": {**self._open}})

    def _identity(self, kind: str) -> str:
        return f"{kind}_{self._asked.id}_{len(self._items)}"

    def _place(self, **more: object) -> Json:
        assert self._open is not None
        return {"item_id": self._open["id"], "output_index": len(self._items) - 1, **more}

    def _reasoning(self) -> None:
        if self._open is None or self._open["type"] != "reasoning":
            self._open_item({"type": "reasoning", "id": self._identity("rs"), "summary": []})

    def _grow(self, name: str, event: str, place: Json, words: str) -> None:
        assert self._open is not None
        if not self._open[name]:
            part = {"type": "summary_text", "text": ""}
            self._open[name].append(part)
            self._event("response.reasoning_summary_part.added", self._place(**place, part={**part}))
        self._open[name][0]["text"] += words
        self._event(event, self._place(**place, delta=words))

    def _message(self, kind: str) -> None:
        if self._open is None or self._open["type"] != "message":
            self._open_item({"type": "message", "id": self._identity("msg"), "role": "assistant", "content": []})
        assert self._open is not None
        parts = self._open["content"]
        if parts and parts[-1]["type"] == kind:
            return
        if parts:
            self._close_part()
        part: Json = (
            {"type": kind, "text": "", "annotations": [], "logprobs": []}
            if kind == "output_text"
            else {"type": kind, "refusal": ""}
        )
        parts.append(part)
        self._event("response.content_part.added", self._place(content_index=len(parts) - 1, part={**part}))

    def _words(self, kind: str, words: str, logprobs: object) -> None:
        assert self._open is not None
        part = self._open["content"][-1]
        place = self._place(content_index=len(self._open["content"]) - 1, delta=words)
        if kind == "refusal":
            part["refusal"] += words
            self._event("response.refusal.delta", place)
            return
        part["text"] += words
        found = details({"it": logprobs}, "it").get("content") or []
        part["logprobs"] += found
        self._event("response.output_text.delta", {**place, "logprobs": found})

    def _call(self, call: Json) -> None:
        call = self._numbers.numbered(call)
        place = call["index"]
        function = details(call, "function")
        if place not in self._calls:
            item = {
                "type": "function_call",
                "id": self._identity("fc"),
                "call_id": str(call.get("id") or f"call_{self._asked.id}_{place}"),
                "name": str(function.get("name")),
                "arguments": "",
            }
            self._open_item(item)
            self._calls[place] = len(self._items) - 1
        piece = function.get("arguments")
        if isinstance(piece, str) and piece:
            at = self._calls[place]
            item = self._items[at]
            item["arguments"] += piece
            event = {"item_id": item["id"], "output_index": at, "delta": piece}
            self._event("response.function_call_arguments.delta", event)

    def _close(self) -> None:
        item = self._open
        if item is None:
            return
        if item["type"] == "reasoning":
            self._close_reasoning(item)
        elif item["type"] == "message":
            self._close_part()
        else:
            item["arguments"] = item["arguments"] or "{}"  # many servers write nothing for a call without arguments
            done = self._place(arguments=item["arguments"], name=item["name"])
            self._event("response.function_call_arguments.done", done)
        item["status"] = "completed"
        self._event("response.output_item.done", {"output_index": len(self._items) - 1, "item": {**item}})
        self._open = None

    def _close_reasoning(self, item: Json) -> None:
        item["encrypted_content"] = thoughts.sealed(self._signed)
        self._signed = []
        for part in item["summary"]:
            done = self._place(summary_index=0)
            self._event("response.reasoning_summary_text.done", {**done, "text": part["text"]})
            self._event("response.reasoning_summary_part.done", {**done, "part": part})

    def _close_part(self) -> None:
        assert self._open is not None
        part = self._open["content"][-1]
        place = self._place(content_index=len(self._open["content"]) - 1)
        if part["type"] == "refusal":
            self._event("response.refusal.done", {**place, "refusal": part["refusal"]})
        else:
            self._annotate(part, place)
            done = {**place, "text": part["text"], "logprobs": part["logprobs"]}
            self._event("response.output_text.done", done)
        self._event("response.content_part.done", {**place, "part": part})

    def _event(self, name: str, payload: Json) -> None:
        self._out.append(write_named(name, {"type": name, "sequence_number": self._number, **payload}))
        self._number += 1

    def _taken(self) -> bytes:
        out, self._out = b"".join(self._out), []
        return out
