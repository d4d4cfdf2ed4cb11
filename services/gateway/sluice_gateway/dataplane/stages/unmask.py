"""Unmask: put the user's own values back where the model wrote the placeholders that it was shown instead of them.

It comes after the output guard, so that the guard and the provider see placeholders only, and before the answer is
written in the client's API. A request without masked values passes nothing through here.
"""

from typing import Any

from sluice.masking import Restorer, Vault
from sluice_gateway.dataplane.answers import event
from sluice_gateway.dataplane.sse import chunk_of, split
from sluice_gateway.dataplane.stages.other_text import TEXT_FIELDS
from sluice_gateway.dataplane.stages.tool_calls import ONLY, arguments_of, given_in, with_arguments

_NO_TEXT: dict[str, Any] = {"text": ""}
_NO_DELTA: dict[str, Any] = {"delta": {}}
Place = tuple[int, str, int]
"""Choice index, field, and the number of the tool call (0 for other fields)."""


def unmasked(answer: dict[str, Any], vault: Vault) -> dict[str, Any]:
    """Return a whole answer with the values in its texts, tool-call arguments and ranked documents; log-probabilities are left out."""
    out = dict(answer)
    if "choices" in answer:
        out["choices"] = [_choice(choice, vault) for choice in answer["choices"] or ()]
    if "results" in answer:
        out["results"] = _everywhere(answer["results"], vault)
    return out


def _everywhere(found: Any, vault: Vault) -> Any:
    if isinstance(found, str):
        return vault.restore(found)
    if isinstance(found, list):
        return [_everywhere(item, vault) for item in found]
    if isinstance(found, dict):
        return {name: _everywhere(value, vault) for name, value in found.items()}
    return found


def _choice(choice: dict[str, Any], vault: Vault) -> dict[str, Any]:
    out = {**choice, "logprobs": None}
    if isinstance(choice.get("text"), str):
        out["text"] = vault.restore(choice["text"])
    message = choice.get("message")
    if not isinstance(message, dict):
        return out
    out["message"] = dict(message)
    for name in TEXT_FIELDS:
        if isinstance(message.get(name), str):
            out["message"][name] = vault.restore(message[name])
    if isinstance(message.get("tool_calls"), list):
        out["message"]["tool_calls"] = [_call(call, vault) for call in message["tool_calls"]]
    if isinstance(message.get("function_call"), dict):
        out["message"]["function_call"] = _call({"function": message["function_call"]}, vault)["function"]
    return out


def _call(call: dict[str, Any], vault: Vault) -> dict[str, Any]:
    arguments = arguments_of(call)
    return call if arguments is None else with_arguments(call, vault.restore(arguments))


class StreamUnmasking:
    """Puts values back into the events of one stream; at most the beginning of a placeholder waits for the next event."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._restorers: dict[Place, Restorer] = {}
        self._skeleton: dict[str, Any] = {}

    def feed(self, events: bytes) -> bytes:
        """Return the events that may go out now."""
        return b"".join(self._event(one) for one in split(events))

    def finish(self) -> bytes:
        """Return what is still held when the stream has ended without saying so."""
        return b"".join(event(chunk) for chunk in self._rest(None))

    def _event(self, one: bytes) -> bytes:
        chunk = chunk_of(one)
        if chunk is None or not chunk.get("choices"):
            return one
        self._skeleton = {name: value for name, value in chunk.items() if name not in ("choices", "usage")}
        before: list[dict[str, Any]] = []
        choices = []
        for choice in chunk["choices"]:
            choices.append(self._restored(choice))
            if choice.get("finish_reason") is not None:
                before += self._rest(choice.get("index", 0))
        return b"".join(event(each) for each in self._in_order(before, {**chunk, "choices": choices}))

    def _in_order(self, before: list[dict[str, Any]], chunk: dict[str, Any]) -> list[dict[str, Any]]:
        # What was held stands behind the text of the last chunk and before the reason for the end.
        if not before:
            return [chunk]
        bare = [{**choice, "finish_reason": None} for choice in chunk["choices"]]
        ends = [
            {
                "index": choice.get("index", 0),
                "logprobs": None,
                "finish_reason": choice["finish_reason"],
                **(_NO_TEXT if "text" in choice else _NO_DELTA),
            }
            for choice in chunk["choices"]
            if choice.get("finish_reason") is not None
        ]
        rest = {name: value for name, value in chunk.items() if name != "usage"}
        return [{**rest, "choices": bare}, *before, {**chunk, "choices": ends}]

    def _restored(self, choice: dict[str, Any]) -> dict[str, Any]:
        index = choice.get("index", 0)
        out = {**choice, "logprobs": None}
        if isinstance(choice.get("text"), str):
            out["text"] = self._feed((index, "text", 0), choice["text"])
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            return out
        out["delta"] = dict(delta)
        for name in TEXT_FIELDS:
            if isinstance(delta.get(name), str):
                out["delta"][name] = self._feed((index, name, 0), delta[name])
        if isinstance(delta.get("tool_calls"), list):
            out["delta"]["tool_calls"] = [self._call(index, call) for call in delta["tool_calls"]]
        if isinstance(delta.get("function_call"), dict):
            only = {"index": ONLY, "function": delta["function_call"]}
            out["delta"]["function_call"] = self._call(index, only)["function"]
        return out

    def _call(self, index: int, call: dict[str, Any]) -> dict[str, Any]:
        arguments = arguments_of(call)
        if arguments is None:
            return call
        return with_arguments(call, self._feed((index, given_in(call)[1], call.get("index", 0)), arguments))

    def _feed(self, place: Place, text: str) -> str:
        restorer = self._restorers.get(place)
        if restorer is None:
            restorer = self._restorers[place] = Restorer(self._vault)
        return restorer.feed(text)

    def _rest(self, index: int | None) -> list[dict[str, Any]]:
        ended = [place for place in self._restorers if index is None or place[0] == index]
        found = [(place, self._restorers.pop(place).finish()) for place in ended]
        return [self._chunk(place, text) for place, text in found if text]

    def _chunk(self, place: Place, text: str) -> dict[str, Any]:
        index, field, number = place
        choice: dict[str, Any] = {"index": index, "logprobs": None, "finish_reason": None}
        if field == "text":
            choice["text"] = text
        elif field in ("arguments", "input"):
            given = {"function" if field == "arguments" else "custom": {field: text}}
            choice["delta"] = (
                {"function_call": given["function"]} if number == ONLY else {"tool_calls": [{"index": number, **given}]}
            )
        else:
            choice["delta"] = {field: text}
        return {**self._skeleton, "choices": [choice]}
