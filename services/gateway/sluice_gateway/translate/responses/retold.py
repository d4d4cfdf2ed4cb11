"""A finished response told once more as a stream: the events that its items come to, each with its whole text at once.

Events and fields: https://platform.openai.com/docs/api-reference/responses-streaming
"""

from collections.abc import Sequence
from typing import Any

from sluice_gateway.translate.events import write_named
from sluice_gateway.translate.shapes import Json


def stream_of(response: Json, starting_after: int = -1) -> bytes:
    """Return the events of a kept response, without those up to the sequence number `starting_after`.

    One in the background has an event more, `response.queued`; of one without an answer the events so far are told, with the
    numbers that they have later too.
    """
    return written(events_of(response), starting_after)


def events_of(response: Json) -> list[Json]:
    """Return the events of a kept response, in their order; their numbers are their places."""
    teller = _Teller()
    teller.tell(response)
    return teller.events


def written(events: Sequence[Json], starting_after: int) -> bytes:
    """Return events as they are sent, without those up to the sequence number `starting_after`."""
    return b"".join(
        write_named(event["type"], {**event, "sequence_number": number})
        for number, event in enumerate(events)
        if number > starting_after
    )


class _Teller:
    def __init__(self) -> None:
        self.events: list[Json] = []

    def tell(self, response: Json) -> None:
        status, aside = response.get("status"), response.get("background") is True
        begun = {
            **response,
            "status": "in_progress",
            "output": [],
            "usage": None,
            "incomplete_details": None,
            "error": None,
        }
        if aside:
            begun.pop("completed_at", None)
            queued = {**begun, "status": "queued"}
            self._event("response.created", response=queued)
            self._event("response.queued", response=queued)
        else:
            self._event("response.created", response=begun)
        if status == "queued":
            return
        self._event("response.in_progress", response=begun)
        if status == "in_progress":
            return
        for place, item in enumerate(response.get("output") or ()):
            self._item(item, place)
        self._event(f"response.{status}", response=response)

    def _event(self, kind: str, **fields: Any) -> None:
        self.events.append({"type": kind, **fields})

    def _item(self, item: Json, place: int) -> None:
        kind, where = item.get("type"), {"item_id": item.get("id"), "output_index": place}
        empty: dict[str, Json] = {
            "message": {"content": []},
            "function_call": {"arguments": ""},
            "reasoning": {"summary": []},
        }
        begun = {**item, "status": "in_progress", **empty.get(str(kind), {})}
        self._event("response.output_item.added", output_index=place, item=begun)
        if kind == "message":
            for number, part in enumerate(item.get("content") or ()):
                self._part(part, {**where, "content_index": number})
        elif kind == "function_call":
            said = item.get("arguments", "")
            self._event("response.function_call_arguments.delta", **where, delta=said)
            self._event("response.function_call_arguments.done", **where, arguments=said, name=item.get("name"))
        elif kind == "reasoning":
            for number, part in enumerate(item.get("summary") or ()):
                self._thought(part, {**where, "summary_index": number})
        self._event("response.output_item.done", output_index=place, item=item)

    def _part(self, part: Json, where: Json) -> None:
        if part.get("type") == "refusal":
            said = part.get("refusal", "")
            self._event("response.content_part.added", **where, part={**part, "refusal": ""})
            self._event("response.refusal.delta", **where, delta=said)
            self._event("response.refusal.done", **where, refusal=said)
        else:
            said, logprobs = part.get("text", ""), part.get("logprobs") or []
            self._event(
                "response.content_part.added", **where, part={**part, "text": "", "annotations": [], "logprobs": []}
            )
            self._event("response.output_text.delta", **where, delta=said, logprobs=logprobs)
            for number, note in enumerate(part.get("annotations") or ()):
                self._event("response.output_text.annotation.added", **where, annotation_index=number, annotation=note)
            self._event("response.output_text.done", **where, text=said, logprobs=logprobs)
        self._event("response.content_part.done", **where, part=part)

    def _thought(self, part: Json, where: Json) -> None:
        said = part.get("text", "")
        self._event("response.reasoning_summary_part.added", **where, part={**part, "text": ""})
        self._event("response.reasoning_summary_text.delta", **where, delta=said)
        self._event("response.reasoning_summary_text.done", **where, text=said)
        self._event("response.reasoning_summary_part.done", **where, part=part)
