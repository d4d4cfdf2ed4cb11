"""The lines of a batch: requests as they come in, answers as they go out (OpenAI's shapes)."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from sluice.contracts.batches import MAX_BATCH_ERRORS, BatchError
from sluice_gateway import nesting
from sluice_gateway.domain.background import ENDPOINT as BACKGROUND_ENDPOINT
from sluice_gateway.domain.batches import DEFAULT_MODELS, REQUIRED_FIELDS, Counted, LineAnswer, Tokens
from sluice_gateway.tokens import count_of

_MAX_CUSTOM_ID = 512
_MAX_MODEL = 200
_BOM = b"\xef\xbb\xbf"


class RawLine(NamedTuple):
    """A line of a file, counted from 1; `data` is None when it was longer than allowed."""

    number: int
    data: bytes | None


class RequestLine(NamedTuple):
    """A request of a batch; `body` is what the endpoint gets."""

    number: int
    custom_id: str
    model: str
    body: bytes


class LineWrong(Exception):
    """A line cannot be asked; the message says what to change."""

    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param


async def split_lines(chunks: AsyncIterator[bytes], max_bytes: int) -> AsyncIterator[RawLine]:
    """Yield the lines that hold anything; at most one line is in memory, and none over the limit."""
    number, kept, too_long = 0, bytearray(), False
    async for chunk in chunks:
        *whole, rest = chunk.split(b"\n")
        for piece in whole:
            number += 1
            line = (
                RawLine(number, None) if too_long or len(kept) + len(piece) > max_bytes else _line(number, kept + piece)
            )
            kept.clear()
            too_long = False
            if line is not None:
                yield line
        if len(kept) + len(rest) > max_bytes:
            too_long = True
            kept.clear()
        elif not too_long:
            kept += rest
    line = RawLine(number + 1, None) if too_long else _line(number + 1, kept)
    if line is not None:
        yield line


def _line(number: int, data: bytearray) -> RawLine | None:
    plain = bytes(data.removeprefix(_BOM) if number == 1 else data).strip()
    return RawLine(number, plain) if plain else None


def read_request(line: RawLine, endpoint: str, max_bytes: int) -> RequestLine:
    """Return the request of a line.

    Raises:
        LineWrong: it is not one that this batch can ask.
    """
    if line.data is None:
        raise LineWrong("line_too_long", f"The line is longer than {max_bytes} bytes; shorten the request.")
    found = _object(line.data)
    custom_id = found.get("custom_id")
    if not isinstance(custom_id, str) or not 0 < len(custom_id) <= _MAX_CUSTOM_ID:
        raise LineWrong(
            "invalid_custom_id", f"`custom_id` must be a text of 1 to {_MAX_CUSTOM_ID} characters.", "custom_id"
        )
    if found.get("method") != "POST":
        raise LineWrong("invalid_method", "`method` must be `POST`.", "method")
    if found.get("url") != endpoint:
        raise LineWrong("invalid_url", f"`url` must be the batch's endpoint, `{endpoint}`.", "url")
    body = found.get("body")
    if not isinstance(body, dict):
        raise LineWrong("invalid_body", "`body` must be the request as a JSON object.", "body")
    return RequestLine(line.number, custom_id, _checked_model(body, endpoint), orjson.dumps(body))


def _object(data: bytes) -> dict[str, Any]:
    try:
        found = nesting.loads(data)
    except orjson.JSONDecodeError as exc:
        raise LineWrong("invalid_json_line", f"The line is not valid JSON: {exc.msg} (column {exc.colno}).") from exc
    if not isinstance(found, dict):
        raise LineWrong("invalid_json_line", "The line must be a JSON object.")
    return found


def _checked_model(body: dict[str, Any], endpoint: str) -> str:
    model, required = body.get("model", DEFAULT_MODELS.get(endpoint)), REQUIRED_FIELDS[endpoint]
    if not isinstance(model, str) or not 0 < len(model) <= _MAX_MODEL or not model.isprintable():
        raise LineWrong("missing_required_parameter", "`body.model` must name a model.", "body.model")
    if required not in body:
        raise LineWrong("missing_required_parameter", f"`body.{required}` is missing.", f"body.{required}")
    if body.get("stream"):
        raise LineWrong("invalid_stream", "A batch has no streams; leave `body.stream` out.", "body.stream")
    if endpoint == BACKGROUND_ENDPOINT and body.get("background"):
        raise LineWrong(
            "invalid_background", "A batch is in the background; leave `body.background` out.", "body.background"
        )
    return model


@dataclass(slots=True)
class InputCheck:
    """Takes the lines of a batch's input in order and finds what is wrong with them."""

    endpoint: str
    max_lines: int
    max_line_bytes: int
    requests: int = 0
    error_count: int = 0
    errors: list[BatchError] = field(default_factory=list)
    _ids: dict[str, int] = field(default_factory=dict)
    _models: set[str] = field(default_factory=set)

    def take(self, line: RawLine) -> bool:
        """Take the next line; False when no more need to come."""
        self.requests += 1
        if self.requests > self.max_lines:
            self._wrong(
                line.number, "too_many_requests", f"A batch may have {self.max_lines} requests; split the file."
            )
            return False
        try:
            request = read_request(line, self.endpoint, self.max_line_bytes)
        except LineWrong as exc:
            self._wrong(line.number, exc.code, exc.message, exc.param)
            return True
        first = self._ids.setdefault(request.custom_id, line.number)
        if first != line.number:
            self._wrong(
                line.number,
                "duplicate_custom_id",
                f"The `custom_id` {request.custom_id[:80]!r} stands in line {first} already; each must be used once.",
                "custom_id",
            )
        if len(self._models) < 2:
            self._models.add(request.model)
        return True

    def found(self) -> Counted:
        """Return what the input holds; the model where all requests name the same one."""
        return Counted(self.requests, next(iter(self._models)) if len(self._models) == 1 else None)

    def mistakes(self) -> list[BatchError]:
        """Return the first mistakes, none when all is well; a file without requests is one."""
        if not self.requests:
            return [BatchError(code="empty_file", message="The input file holds no requests.", param="input_file_id")]
        return self.errors

    def _wrong(self, line: int, code: str, message: str, param: str | None = None) -> None:
        self.error_count += 1
        if len(self.errors) < MAX_BATCH_ERRORS:
            self.errors.append(BatchError(code=code, message=f"Line {line}: {message}", line=line, param=param))


def answered(request_id: str, line: RequestLine, status: int, body: bytes, answer_id: str) -> LineAnswer:
    """Return the answer that the endpoint gave; `body` may be anything, what is no JSON is kept as a text."""
    try:
        parsed: Any = nesting.loads(body)
    except orjson.JSONDecodeError:
        parsed = body.decode("utf-8", "replace")
    shown = {
        "id": answer_id,
        "custom_id": line.custom_id,
        "response": {"status_code": status, "request_id": request_id, "body": parsed},
        "error": None,
    }
    return LineAnswer(line.number, 200 <= status < 300, orjson.dumps(shown).decode(), tokens_of(parsed))


def unanswered(number: int, custom_id: str, code: str, message: str, answer_id: str) -> LineAnswer:
    """Return what stands for a line that got no answer."""
    shown = {"id": answer_id, "custom_id": custom_id, "response": None, "error": {"code": code, "message": message}}
    return LineAnswer(number, ok=False, text=orjson.dumps(shown).decode())


def tokens_of(body: object) -> Tokens:
    """Return the tokens that an answer's `usage` names, in any of OpenAI's spellings."""
    usage = body.get("usage") if isinstance(body, Mapping) else None
    if not isinstance(usage, Mapping):
        return Tokens()
    return Tokens(
        input=_count(usage, "prompt_tokens", "input_tokens"),
        cached=_count(_details(usage, "prompt_tokens_details", "input_tokens_details"), "cached_tokens"),
        output=_count(usage, "completion_tokens", "output_tokens"),
        reasoning=_count(_details(usage, "completion_tokens_details", "output_tokens_details"), "reasoning_tokens"),
    )


def _details(usage: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    return next((usage[name] for name in names if isinstance(usage.get(name), Mapping)), {})


def _count(usage: Mapping[str, Any], *names: str) -> int:
    return count_of(next((usage[name] for name in names if name in usage), 0)) or 0
