"""A provider that speaks Bedrock's Converse API over a real socket: binary event streams, SigV4 and the faults of the real one.

Requests are checked against botocore's own model of the service. Signatures are checked with the published algorithm:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import hashlib
import hmac
import json
import re
import struct
from base64 import b64decode
from binascii import crc32
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any
from urllib.parse import quote, unquote

import botocore.session
from botocore.exceptions import ParamValidationError
from botocore.model import ServiceModel
from botocore.validate import validate_parameters
from foreign_provider import Behaviour, ForeignProvider, Json, Refused, vector_of
from openai_provider import Seen, words

ACCESS_KEY, SECRET_KEY, REGION = "AKIASIMULATED", "simulated/secret", "eu-north-1"
API_KEY = "bedrock-api-key-simulated"
_PATH = re.compile(r"/model/([^/]+)/(converse|converse-stream|count-tokens|invoke)")
_OPERATIONS = {"converse": "Converse", "converse-stream": "ConverseStream", "count-tokens": "CountTokens"}
_SIGNED = re.compile(r"AWS4-HMAC-SHA256 Credential=([^,/]+)/([^,]+), SignedHeaders=([^,]+), Signature=([0-9a-f]{64})")
_TYPES = {400: "ValidationException", 403: "AccessDeniedException", 404: "ResourceNotFoundException",
          429: "ThrottlingException", 500: "InternalServerException", 503: "ServiceUnavailableException"}  # fmt: skip


@cache
def service() -> ServiceModel:
    """Return botocore's model of the service."""
    return botocore.session.get_session().get_service_model("bedrock-runtime")


class BedrockProvider(ForeignProvider):
    """`Converse`, `ConverseStream` and `CountTokens`."""

    stream_type = "application/vnd.amazon.eventstream"

    @property
    def base_url(self) -> str:
        """The base URL of a deployment."""
        return self.root_url

    def is_streamed(self, seen: Seen) -> bool:
        """Tell whether a request wants a stream."""
        return seen.path.endswith("/converse-stream")

    def check(self, seen: Seen) -> None:
        """Refuse a wrong signature or key, and what botocore's model of the service does not know."""
        match = _PATH.fullmatch(seen.path)
        if match is None:
            raise Refused(404, "UnknownOperationException", "")
        if seen.headers.get("authorization") != f"Bearer {API_KEY}":
            _check_signature(seen)
        if match.group(2) == "invoke":
            _check_embedding(unquote(match.group(1)), seen.json)
            return
        shape = service().operation_model(_OPERATIONS[match.group(2)]).input_shape
        try:
            validate_parameters({"modelId": unquote(match.group(1)), **_parameters(seen.json)}, shape)
        except ParamValidationError as exc:
            raise Refused(400, "ValidationException", str(exc)) from exc

    def whole(self, seen: Seen, behaviour: Behaviour) -> Json:
        """Return an answer, a count, or vectors."""
        if seen.path.endswith("/invoke"):
            return _vectors(seen.json)
        if seen.path.endswith("/count-tokens"):
            return {"inputTokens": len(seen.body.split())}
        return {
            "output": {"message": {"role": "assistant", "content": _blocks(behaviour)}},
            "stopReason": _stop(behaviour),
            "usage": _usage(seen, behaviour),
            "metrics": {"latencyMs": 5},
        }

    def events(self, seen: Seen, behaviour: Behaviour) -> Iterator[bytes]:
        """Return the frames of an answer."""
        yield event("messageStart", {"role": "assistant"})
        sent = 0
        for index, block in enumerate(_blocks(behaviour)):
            if "toolUse" in block:
                start = {"toolUse": {"toolUseId": block["toolUse"]["toolUseId"], "name": block["toolUse"]["name"]}}
                yield event("contentBlockStart", {"contentBlockIndex": index, "start": start})
            for delta in _deltas(block):
                if sent == behaviour.stream_error_after:
                    yield exception("throttlingException", "secret-host is busy")
                    return
                sent += 1
                yield event("contentBlockDelta", {"contentBlockIndex": index, "delta": delta})
            yield event("contentBlockStop", {"contentBlockIndex": index})
        yield event("messageStop", {"stopReason": _stop(behaviour)})
        if behaviour.done:
            yield event("metadata", {"usage": _usage(seen, behaviour), "metrics": {"latencyMs": 5}})

    def error(self, status: int, kind: str | None, message: str) -> tuple[Json, dict[str, str]]:
        """Return an error in AWS's shape: the kind stands in a header."""
        named = kind or _TYPES.get(status, "InternalServerException")
        return {"message": message}, {"x-amzn-ErrorType": f"{named}:http://internal.amazon.com/coral/x/"}


# The bodies of InvokeModel are the models' own: of Titan and Cohere as AWS documents them, what botocore does not know.
_TITAN = {"inputText": str, "dimensions": int, "normalize": bool, "embeddingTypes": list}
_COHERE = {"texts": list, "input_type": str, "truncate": str, "embedding_types": list, "output_dimension": int}


def _check_embedding(model: str, fields: Json) -> None:
    if model.startswith(("amazon.titan-embed-text-v2", "amazon.titan-embed-text-v1")):
        known, needed = _TITAN, {"inputText"}
    elif model.startswith("cohere.embed-"):
        known, needed = _COHERE, {"texts", "input_type"}
    else:
        raise Refused(404, "ResourceNotFoundException", "The provided model identifier is invalid.")
    for name in needed - set(fields):
        raise Refused(400, "ValidationException", f"Malformed input request: #: required key [{name}] not found")
    for name, value in fields.items():
        if name not in known or type(value) is not known[name]:
            raise Refused(
                400, "ValidationException", f"Malformed input request: #: extraneous key [{name}] is not permitted"
            )


def _vectors(fields: Json) -> Json:
    if "inputText" in fields:
        vector = vector_of(fields["inputText"], fields.get("dimensions", 1024))
        return {
            "embedding": vector,
            "embeddingsByType": {"float": vector},
            "inputTextTokenCount": len(fields["inputText"].split()),
        }
    vectors = [vector_of(text, fields.get("output_dimension", 1024)) for text in fields["texts"]]
    if "embedding_types" in fields:
        return {
            "id": "e1",
            "texts": fields["texts"],
            "embeddings": {"float": vectors},
            "response_type": "embeddings_by_type",
        }
    return {"id": "e1", "texts": fields["texts"], "embeddings": vectors, "response_type": "embeddings_floats"}


def _parameters(value: Any, within: str = "") -> Any:
    # on the wire blobs are base64; botocore's validation wants the bytes
    if isinstance(value, dict):
        return {key: _parameters(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [_parameters(item) for item in value]
    return b64decode(value) if within in ("bytes", "redactedContent") else value


def _check_signature(seen: Seen) -> None:
    match = _SIGNED.fullmatch(seen.headers.get("authorization", ""))
    if match is None or match.group(1) != ACCESS_KEY:
        raise Refused(403, "UnrecognizedClientException", "The security token included in the request is invalid.")
    _, scope, names, signature = match.groups()
    path = "/".join(quote(part, safe="-_.~") for part in seen.path.split("/"))
    headers = "".join(f"{name}:{' '.join(seen.headers[name].split())}\n" for name in names.split(";"))
    digest = hashlib.sha256(seen.body).hexdigest()
    canonical = f"{seen.method}\n{path}\n\n{headers}\n{names}\n{digest}"
    when = seen.headers["x-amz-date"]
    hashed = hashlib.sha256(canonical.encode()).hexdigest()
    key = b"AWS4" + SECRET_KEY.encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), "sha256").digest()
    expected = hmac.new(key, f"AWS4-HMAC-SHA256\n{when}\n{scope}\n{hashed}".encode(), "sha256").hexdigest()
    if signature != expected:
        raise Refused(403, "InvalidSignatureException", "The request signature we calculated does not match.")


def _blocks(behaviour: Behaviour) -> list[Json]:
    blocks: list[Json] = []
    if behaviour.thinking is not None:
        blocks.append({"reasoningContent": {"reasoningText": {"text": behaviour.thinking, "signature": "c2lnbmVk"}}})
    if behaviour.text:
        blocks.append({"text": behaviour.text * behaviour.repeat})
    for number, (name, arguments) in enumerate(behaviour.calls):
        blocks.append({"toolUse": {"toolUseId": f"tooluse_{number}", "name": name, "input": arguments}})
    return blocks


def _deltas(block: Json) -> list[Json]:
    if "text" in block:
        return [{"text": word} for word in words(block["text"])]
    if "reasoningContent" in block:
        said = block["reasoningContent"]["reasoningText"]
        seen: list[Json] = [{"reasoningContent": {"text": word}} for word in words(said["text"])]
        return [*seen, {"reasoningContent": {"signature": said["signature"]}}]
    raw = json.dumps(block["toolUse"]["input"])
    return [{"toolUse": {"input": raw[i : i + 5]}} for i in range(0, len(raw), 5)]


def _stop(behaviour: Behaviour) -> str:
    return "tool_use" if behaviour.calls else "end_turn"


def _usage(seen: Seen, behaviour: Behaviour) -> Json:
    sent, written = len(seen.body.split()), len(words(behaviour.text)) * behaviour.repeat
    usage = {"inputTokens": sent, "outputTokens": written, "totalTokens": sent + written + behaviour.cached}
    return usage | ({"cacheReadInputTokens": behaviour.cached} if behaviour.cached else {})


def frame(headers: Mapping[str, str], payload: bytes) -> bytes:
    """Return one frame: lengths, their CRC, string headers, payload, CRC of all."""
    head = b"".join(
        bytes([len(name)]) + name.encode() + b"\x07" + struct.pack("!H", len(value.encode())) + value.encode()
        for name, value in headers.items()
    )
    prelude = struct.pack("!II", 12 + len(head) + len(payload) + 4, len(head))
    body = prelude + struct.pack("!I", crc32(prelude)) + head + payload
    return body + struct.pack("!I", crc32(body))


def event(name: str, payload: Mapping[str, Any]) -> bytes:
    """Return the frame of an event, padded as Bedrock pads it."""
    headers = {":event-type": name, ":content-type": "application/json", ":message-type": "event"}
    return frame(headers, json.dumps({**payload, "p": "abcdefgh"}).encode())


def exception(name: str, message: str) -> bytes:
    """Return the frame of an exception in the middle of a stream."""
    headers = {":exception-type": name, ":content-type": "application/json", ":message-type": "exception"}
    return frame(headers, json.dumps({"message": message}).encode())
