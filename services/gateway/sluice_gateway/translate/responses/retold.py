"""A finished response told once more as a stream: the events that its items come to, each with its whole text at once.

Events and fields: https://platform.openai.com/docs/api-reference/responses-streaming
"""

from typing import Any

from sluice_gateway.translate.events import write_named
from sluice_gateway.translate.shapes import Json


def stream_of(response: Json, starting_after: int = -1) -> bytes:
    """Return the events of a kept response, without those up to the sequence number `starting_after`."""
    teller = _Teller()
    teller.tell(response)
    return b"".join(
        write_named(event["type"], {**event, "sequence_number": number})
        for number, event in enumerate(teller.events)
        if number > starting_after
    )


class _Teller:
    def __init__(self) -> None:
        self.events: list[Json] = []

    def tell(self, response: Json) -> None:
        begun = {**response, "status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
        self._event("response.created", response=begun)
        self._event("response.in_progress", response=begun)
        for place, item in enumerate(response.get("output") or ()):
            self._item(item, place)
        self._event(f"response.{response.get('status')}", response=response)

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
