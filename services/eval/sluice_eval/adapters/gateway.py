"""The gateway as the model under evaluation: one chat completion per question."""

import json
import logging
from typing import Any

import aiohttp

from sluice.auth import ServiceTokens
from sluice.clients.deadline import DEADLINE_HEADER
from sluice.contracts.evals import EvalItem, JsonSchemaScorer, Sampling
from sluice.telemetry.tracing import Tracing, inject
from sluice_eval.domain.runs import Answer, NotAnswered, OnBehalf

_log = logging.getLogger(__name__)
_AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
_FOR_ALL = frozenset({401, 403, 404})
_MAX_ANSWER = 8 * 1024 * 1024
_SHOWN = 500


class GatewayTarget:
    """Asks over HTTP on behalf of an API key; what the gateway refuses becomes `NotAnswered` with its own sentence.

    It shows a service token that names the key; the gateway applies that key's own limits, and books usage on it.
    """

    def __init__(
        self, session: aiohttp.ClientSession, base_url: str, tokens: ServiceTokens, subject: str, tracing: Tracing
    ) -> None:
        self._session = session
        self._url = f"{base_url.rstrip('/')}/v1/chat/completions"
        self._tokens = tokens
        self._subject = subject
        self._tracing = tracing

    async def ask(
        self, on_behalf: OnBehalf, model: str, item: EvalItem, sampling: Sampling, timeout_s: float
    ) -> Answer:
        """Ask one question with the rights of an API key."""
        token = self._tokens.mint(
            "gateway", tenant=on_behalf.tenant, subject=self._subject, key_id=on_behalf.api_key_id
        )
        headers = {"authorization": f"Bearer {token}", DEADLINE_HEADER: str(max(1, int(timeout_s * 1000)))}
        timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=min(5.0, timeout_s))
        with self._tracing.span("ask gateway", attributes={"sluice.eval.item": item.id or ""}):
            inject(headers)
            try:
                async with self._session.post(
                    self._url,
                    json=_body(model, item, sampling),
                    headers=headers,
                    timeout=timeout,
                    allow_redirects=False,
                ) as response:
                    raw = await _read(response)
                    if response.status != 200:
                        raise _refusal(on_behalf, response.status, raw, response.headers.get("retry-after"))
                    return _answer(raw, response.headers.get("x-request-id"), response.headers.get("x-sluice-cost"))
            except TimeoutError as exc:
                raise NotAnswered(f"No answer within {timeout_s:.0f} s.") from exc
            except (aiohttp.ClientError, OSError) as exc:
                raise NotAnswered(f"The gateway cannot be reached ({type(exc).__name__}).", again=True) from exc


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for part in response.content.iter_any():
        body += part
        if len(body) > _MAX_ANSWER:
            raise NotAnswered(f"The answer is larger than {_MAX_ANSWER} bytes.")
    return bytes(body)


def _body(model: str, item: EvalItem, sampling: Sampling) -> dict[str, Any]:
    messages = (
        [message.model_dump() for message in item.messages]
        if item.messages is not None
        else [{"role": "user", "content": item.prompt}]
    )
    body: dict[str, Any] = {"model": model, "messages": messages, "stream": False}
    body |= {name: value for name, value in sampling.model_dump(exclude_none=True).items() if value != ()}
    if isinstance(item.scorer, JsonSchemaScorer) and item.scorer.constrain:
        schema = {"name": "answer", "schema": item.expected, "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
        body["sluice"] = {"structured_output": "off"}  # a wrong answer is what is looked for here, not an error
    return body


def _refusal(on_behalf: OnBehalf, status: int, raw: bytes, retry_after: str | None) -> NotAnswered:
    try:
        said = json.loads(raw)["error"]["message"]
    except (ValueError, KeyError, TypeError):
        said = raw[:_SHOWN].decode("utf-8", "replace")
    after = float(retry_after) if retry_after and retry_after.isdigit() else None
    who = f" for API key {on_behalf.api_key_id}" if status in (401, 403) else ""
    return NotAnswered(
        f"The gateway answered with status {status}{who}: {str(said)[:_SHOWN]}",
        again=status in _AGAIN,
        after_s=after,
        for_all=status in _FOR_ALL,
    )


def _answer(raw: bytes, request_id: str | None, cost: str | None) -> Answer:
    try:
        body = json.loads(raw)
        choice = body["choices"][0]
        content = choice["message"].get("content")
        usage = body.get("usage") or {}
        return Answer(
            text=content if isinstance(content, str) else None,
            served_model=_text(body.get("model")),
            finish_reason=_text(choice.get("finish_reason")),
            request_id=request_id,
            prompt_tokens=_count(usage.get("prompt_tokens")),
            completion_tokens=_count(usage.get("completion_tokens")),
            cost_usd=_cost(cost),
        )
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as exc:
        raise NotAnswered("The gateway's answer is not a chat completion.") from exc


def _text(value: object) -> str | None:
    return value[:200] if isinstance(value, str) else None


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31 else None


def _cost(value: str | None) -> float | None:
    try:
        return float(value) if value else None
    except ValueError:
        return None
