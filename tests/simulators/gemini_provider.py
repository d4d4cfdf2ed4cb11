"""A provider that speaks the Gemini API over a real socket, with the checks and the faults of the real one.

Shapes as documented at https://ai.google.dev/api/generate-content; server-sent events there end in CRLF.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from foreign_provider import Behaviour, ForeignProvider, Json, Refused, vector_of
from google.genai import types
from openai_provider import Seen, words
from pydantic import ValidationError

KEY = "AIza-simulated"
_PATH = re.compile(r"/v1(?:beta)?/(models|tunedModels)/([^:/]+):(\w+)(\?alt=sse)?")
_STATUSES = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
             429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE"}  # fmt: skip
_FIELDS: dict[str, Any] = {
    "generationConfig": types.GenerationConfig,
    "toolConfig": types.ToolConfig,
    "systemInstruction": types.Content,
    "safetySettings": None,
}


class GeminiProvider(ForeignProvider):
    """`generateContent`, `streamGenerateContent?alt=sse`, `countTokens` and `batchEmbedContents`."""

    @property
    def base_url(self) -> str:
        """The base URL of a deployment."""
        return f"{self.root_url}/v1beta"

    def is_streamed(self, seen: Seen) -> bool:
        """Tell whether a request wants a stream."""
        return ":streamGenerateContent" in seen.path

    def check(self, seen: Seen) -> None:
        """Refuse a missing key, a path that does not exist, unknown fields, and calls that have lost their signature."""
        match = _PATH.fullmatch(seen.path)
        if match is None:
            raise Refused(404, "NOT_FOUND", "Requested entity was not found.")
        if seen.headers.get("x-goog-api-key") != KEY:
            raise Refused(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.")
        fields = seen.json
        if match.group(3) == "countTokens":
            fields = {
                name: value for name, value in fields.get("generateContentRequest", fields).items() if name != "model"
            }
        try:
            if match.group(3) == "batchEmbedContents":
                _check_embeddings(fields, f"{match.group(1)}/{match.group(2)}")
                return
            _check_fields(fields)
        except ValidationError as exc:
            where = exc.errors(include_url=False)[0]
            place = ".".join(str(part) for part in where["loc"])
            raise Refused(
                400, "INVALID_ARGUMENT", f'Invalid JSON payload received at "{place}": {where["msg"]}'
            ) from exc
        if match.group(2).startswith("gemini-3"):
            _check_signatures(fields["contents"])

    def whole(self, seen: Seen, behaviour: Behaviour) -> Json:
        """Return a generated content, a count, or vectors: of each text its length, its bytes' sum, and zeros."""
        if seen.path.endswith(":batchEmbedContents"):
            asked = seen.json["requests"]
            vectors = [
                vector_of(one["content"]["parts"][0]["text"], one.get("outputDimensionality", 3072)) for one in asked
            ]
            found: Json = {"embeddings": [{"values": vector} for vector in vectors]}
            if behaviour.usage:
                found["usageMetadata"] = {"promptTokenCount": len(seen.body.split())}
            return found
        if seen.path.endswith(":countTokens"):
            return {"totalTokens": len(seen.body.split())}
        return _content(_parts(behaviour), "STOP", seen, behaviour)

    def events(self, seen: Seen, behaviour: Behaviour) -> Iterator[bytes]:
        """Return the pieces of a generated content; the counts grow with each."""
        parts = _parts(behaviour)
        pieces = [piece for part in parts for piece in _cut(part)]
        for number, piece in enumerate(pieces):
            if number == behaviour.stream_error_after:
                yield _event(self.error(503, None, "projects/123 on secret-host is overloaded")[0])
                return
            last = number == len(pieces) - 1 and behaviour.done
            yield _event(
                _content([piece], "STOP" if last else None, seen, behaviour, so_far=None if last else number + 1)
            )

    def error(self, status: int, kind: str | None, message: str) -> tuple[Json, dict[str, str]]:
        """Return an error in Google's shape; a limit says how long to wait."""
        error: Json = {"code": status, "message": message, "status": kind or _STATUSES.get(status, "INTERNAL")}
        if status == 429:
            error["details"] = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "7s"}]
        if "API key not valid" in message:
            error["details"] = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]
        return {"error": error}, {}


def _check_embeddings(fields: Json, model: str) -> None:
    if set(fields) != {"requests"} or not 1 <= len(fields["requests"]) <= 100:
        raise Refused(
            400, "INVALID_ARGUMENT", "* BatchEmbedContentsRequest.requests: at most 100 requests can be in one batch"
        )
    for one in fields["requests"]:
        if one.get("model") != model:
            raise Refused(
                400, "INVALID_ARGUMENT", "* BatchEmbedContentsRequest.requests[0].model: model must match the path"
            )
        types.Content.model_validate(one["content"])
        given = {name: value for name, value in one.items() if name not in ("model", "content")}
        types.EmbedContentConfig.model_validate(given)


def _check_fields(fields: Json) -> None:
    for content in fields["contents"]:
        types.Content.model_validate(content)
    for tool in fields.get("tools", ()):
        types.Tool.model_validate(tool)
    for name, value in fields.items():
        if name in ("contents", "tools"):
            continue
        if name not in _FIELDS:
            raise Refused(400, "INVALID_ARGUMENT", f'Invalid JSON payload received. Unknown name "{name}".')
        if _FIELDS[name] is not None:
            _FIELDS[name].model_validate(value)


def _check_signatures(contents: list[Json]) -> None:
    for index, content in enumerate(contents):
        calls = [part for part in content["parts"] if "functionCall" in part]
        if calls and not calls[0].get("thoughtSignature"):
            name = calls[0]["functionCall"]["name"]
            raise Refused(
                400,
                "INVALID_ARGUMENT",
                f"Function call `{name}` in the `{index}.` content block is missing a `thought_signature`.",
            )


def _parts(behaviour: Behaviour) -> list[Json]:
    parts: list[Json] = []
    if behaviour.thinking is not None:
        parts.append({"text": behaviour.thinking, "thought": True})
    if behaviour.text:
        parts.append({"text": behaviour.text * behaviour.repeat})
    for number, (name, arguments) in enumerate(behaviour.calls):
        part: Json = {"functionCall": {"name": name, "args": arguments}}
        parts.append(part if number else {**part, "thoughtSignature": "c2lnbmVk"})
    return parts


def _cut(part: Json) -> list[Json]:
    return [{**part, "text": word} for word in words(part["text"])] if "text" in part else [part]


def _content(
    parts: list[Json], finish: str | None, seen: Seen, behaviour: Behaviour, *, so_far: int | None = None
) -> Json:
    match = _PATH.fullmatch(seen.path)
    assert match is not None
    candidate: Json = {"content": {"parts": parts, "role": "model"}, "index": 0}
    if finish is not None:
        candidate["finishReason"] = finish
    prompt, output = len(seen.body.split()), len(words(behaviour.text)) * behaviour.repeat
    output = output if so_far is None else min(output, so_far)
    usage = {"promptTokenCount": prompt, "candidatesTokenCount": output, "totalTokenCount": prompt + output}
    if behaviour.cached:
        usage["cachedContentTokenCount"] = behaviour.cached
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": match.group(2), "responseId": "r1"}


def _event(payload: Json) -> bytes:
    return f"data: {json.dumps(payload)}\r\n\r\n".encode()
