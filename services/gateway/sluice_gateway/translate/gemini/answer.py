"""Gemini's answers and streams as the hub's."""

import orjson

from sluice_gateway.tokens import are_counted
from sluice_gateway.translate import hub
from sluice_gateway.translate.errors import BadAnswer
from sluice_gateway.translate.gemini.content import FORMAT
from sluice_gateway.translate.gemini.errors import refused
from sluice_gateway.translate.hub import count, details, objects, word
from sluice_gateway.translate.shapes import Asked, FinishReason, Json, Usage
from sluice_gateway.translate.streams import BROKEN, SseStream

_FINISH: dict[str, FinishReason] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "CONTINUATION": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "LANGUAGE": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "MODEL_ARMOR": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
}
# the model wrote something that Gemini itself could not read as a call or an answer
_MALFORMED = frozenset(
    {
        "MALFORMED_FUNCTION_CALL",
        "MALFORMED_RESPONSE",
        "UNEXPECTED_TOOL_CALL",
        "TOO_MANY_TOOL_CALLS",
        "MISSING_THOUGHT_SIGNATURE",
    }
)


def usage_of(found: Json) -> Usage | None:
    """Return the counts of a `usageMetadata` object; thoughts are counted beside the candidates' tokens."""
    usage = found.get("usageMetadata")
    if type(usage) is not dict or not are_counted(usage, "promptTokenCount", "candidatesTokenCount"):
        return None
    thoughts = count(usage, "thoughtsTokenCount")
    return Usage(
        count(usage, "promptTokenCount") + count(usage, "toolUsePromptTokenCount"),
        count(usage, "candidatesTokenCount") + thoughts,
        count(usage, "cachedContentTokenCount"),
        0,
        thoughts,
        audio_tokens=_of_modality(usage, "AUDIO"),
        image_tokens=_of_modality(usage, "IMAGE"),
    )


def _of_modality(usage: Json, modality: str) -> int:
    return sum(
        count(kind, "tokenCount") for kind in objects(usage, "promptTokensDetails") if kind.get("modality") == modality
    )


class Said:
    """What one piece of a candidate says: words, thoughts, images, calls, and the signatures of them."""

    __slots__ = ("calls", "images", "signed", "texts", "thoughts")

    def __init__(self, candidate: Json, asked: Asked, number: int, before: int) -> None:
        self.texts: list[str] = []
        self.thoughts: list[str] = []
        self.images: list[Json] = []
        self.calls: list[Json] = []
        self.signed: list[Json] = []
        for part in objects(details(candidate, "content"), "parts"):
            self._take(part, asked, number, before)

    def _take(self, part: Json, asked: Asked, number: int, before: int) -> None:
        call, words = part.get("functionCall"), part.get("text")
        identity: str | None = None
        if isinstance(call, dict):
            place = before + len(self.calls)
            identity = str(call.get("id") or f"call_{hub.safe_id(asked.id)}_{number}_{place}")
            arguments = orjson.dumps(call.get("args") or {}).decode()
            self.calls.append(hub.tool_call(hub.safe_id(identity), str(call.get("name")), arguments))
            identity = hub.safe_id(identity)
        elif isinstance(words, str) and words:
            (self.thoughts if part.get("thought") is True else self.texts).append(words)
        elif part.get("thought") is not True and (image := _image(details(part, "inlineData"))) is not None:
            self.images.append(image)
        if isinstance(part.get("thoughtSignature"), str):
            detail = {"type": "reasoning.encrypted", "data": part["thoughtSignature"], "format": FORMAT}
            self.signed.append(detail if identity is None else {**detail, "id": identity})


def _image(data: Json) -> Json | None:
    # As OpenRouter and its like write images of a message, which have no place in OpenAI's own shape.
    kind = word(data, "mimeType")
    if not kind.startswith("image/"):
        return None
    return {"type": "image_url", "image_url": {"url": f"data:{kind};base64,{word(data, 'data')}"}}


def _candidates(found: Json) -> list[Json]:
    return objects(found, "candidates")


def _blocked(found: Json) -> bool:
    return details(found, "promptFeedback").get("blockReason") is not None


def answer(found: Json, asked: Asked) -> Json:
    """Return the hub's answer for a generated content."""
    candidates = _candidates(found)
    if not candidates:
        if not _blocked(found):
            raise BadAnswer("no candidate")
        message = hub.assistant([], [], [], [])
        return hub.answer(asked, [hub.choice({**message, "content": None}, "content_filter")], usage_of(found))
    choices = []
    for number, candidate in enumerate(candidates):
        if word(candidate, "finishReason") in _MALFORMED:
            raise BadAnswer("malformed call")
        said = Said(candidate, asked, number, 0)
        finish = _finish(candidate, called=bool(said.calls))
        message = hub.assistant(said.texts, said.calls, said.thoughts, said.signed)
        if said.images:
            message["images"] = said.images
        choices.append({**hub.choice(message, finish or "stop", number), "logprobs": _logprobs(candidate)})
    return hub.answer(asked, choices, usage_of(found))


def _finish(candidate: Json, *, called: bool) -> FinishReason | None:
    reason = word(candidate, "finishReason")
    if reason in ("", "FINISH_REASON_UNSPECIFIED"):
        return None
    found = _FINISH.get(reason, "stop")
    return "tool_calls" if called and found == "stop" else found


def _logprobs(candidate: Json) -> Json | None:
    result = details(candidate, "logprobsResult")
    if not result:
        return None
    top = objects(result, "topCandidates")
    content = []
    for place, item in enumerate(objects(result, "chosenCandidates")):
        others = objects(top[place], "candidates") if place < len(top) else []
        content.append({**_token(item), "top_logprobs": [_token(other) for other in others]})
    return {"content": content, "refusal": None}


def _token(item: Json) -> Json:
    said = word(item, "token")
    return {"token": said, "logprob": item.get("logProbability", 0.0), "bytes": list(said.encode())}


class ContentStream(SseStream):
    """A stream of generated content; it has no mark of its end but the finish reasons and the end of the body."""

    def __init__(self, asked: Asked) -> None:
        super().__init__(asked)
        self._calls: dict[int, int] = {}
        self._begun: set[int] = set()
        self._finished: set[int] = set()

    def _event(self, found: Json) -> list[Json]:
        if "error" in found:
            self.failure = refused(None, found)
            return []
        self.usage = usage_of(found) or self.usage
        if _blocked(found) and not _candidates(found):
            self.finish_reason = "content_filter"
            self._finished.add(0)
            return [self._chunk({"role": "assistant", "content": ""}), self._chunk({}, "content_filter")]
        chunks: list[Json] = []
        for candidate in _candidates(found):
            if word(candidate, "finishReason") in _MALFORMED:
                self.failure = BROKEN
                return chunks
            chunks += self._candidate(candidate, count(candidate, "index"))
        return chunks

    def _candidate(self, candidate: Json, number: int) -> list[Json]:
        chunks: list[Json] = []
        if number not in self._begun:
            self._begun.add(number)
            chunks.append(self._chunk({"role": "assistant", "content": ""}, index=number))
        before = self._calls.get(number, 0)
        said = Said(candidate, self.asked, number, before)
        self._calls[number] = before + len(said.calls)
        delta: Json = {}
        if said.thoughts:
            delta["reasoning_content"] = "".join(said.thoughts)
        if said.texts:
            delta["content"] = "".join(said.texts)
        if said.images:
            delta["images"] = said.images
        if said.calls:
            delta["tool_calls"] = [{"index": before + place, **call} for place, call in enumerate(said.calls)]
        if said.signed:
            delta["reasoning_details"] = said.signed
        if delta:
            chunk = self._chunk(delta, index=number)
            chunk["choices"][0]["logprobs"] = _logprobs(candidate)
            chunks.append(chunk)
        finish = _finish(candidate, called=self._calls[number] > 0)
        if finish is not None:
            self._finished.add(number)
            self.finish_reason = finish if number == 0 else self.finish_reason or finish
            chunks.append(self._chunk({}, finish, number))
        return chunks

    def _end(self) -> list[Json]:
        if self.failure is not None or not self._finished or self._begun - self._finished:
            return []
        self.done = True
        return [] if self.usage is None else [hub.usage_chunk(self.asked, self.usage)]
