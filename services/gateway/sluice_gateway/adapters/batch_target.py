"""The gateway's own request path as its worker asks it: over HTTP, with the rights of the API key that ordered what is asked."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson

from sluice.auth import ServiceTokens
from sluice.clients.deadline import DEADLINE_HEADER
from sluice_gateway.domain.batches import NO_HEADERS, WORKER_SUBJECT, KeyRefused, NotAnswered, OnBehalf, Said

_BUSY = frozenset({429, 503})
_BROKEN = frozenset({408, 500, 502, 504})
_SPENT = "insufficient_quota"
_TOO_LARGE = "answer_too_large"
# A model has answered, as where its answer could not be checked: another try is paid again.
_ANSWERED = "x-sluice-deployment"
_CONNECT_S = 5.0


@dataclass(frozen=True, slots=True)
class GatewayTarget:
    """Asks over HTTP with a service token that names the key; the gateway applies that key's limits and books usage on it."""

    session: aiohttp.ClientSession
    base_url: str
    tokens: ServiceTokens
    max_answer_bytes: int

    async def ask(
        self, who: OnBehalf, endpoint: str, body: bytes, timeout_s: float, headers: Mapping[str, str] = NO_HEADERS
    ) -> Said:
        """Ask one request and return what was answered, also when that is a refusal."""
        token = self.tokens.mint("gateway", tenant=who.tenant, subject=WORKER_SUBJECT, key_id=who.key_id)
        sent = {
            **headers,
            "authorization": f"Bearer {token}",
            "content-type": "application/json",
            DEADLINE_HEADER: str(max(1, int(timeout_s * 1000))),
        }
        timeout = aiohttp.ClientTimeout(total=timeout_s + _CONNECT_S, sock_connect=_CONNECT_S)
        try:
            async with self.session.post(
                f"{self.base_url}{endpoint}", data=body, headers=sent, timeout=timeout, allow_redirects=False
            ) as response:
                said = Said(response.status, response.headers.get("x-request-id", ""), await self._read(response))
                return _judged(said, response.headers)
        except aiohttp.ClientConnectorError as exc:
            raise NotAnswered("The gateway cannot be reached.", busy=True) from exc
        except TimeoutError as exc:
            raise NotAnswered(f"No answer within {timeout_s:.0f} s.") from exc
        except (aiohttp.ClientError, OSError, asyncio.IncompleteReadError) as exc:
            raise NotAnswered(f"The connection to the gateway broke ({type(exc).__name__}).") from exc

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        async for part in response.content.iter_any():
            body += part
            if len(body) > self.max_answer_bytes:
                raise NotAnswered(f"The answer is larger than {self.max_answer_bytes} bytes.", too_large=True)
        return bytes(body)


def _judged(said: Said, headers: Mapping[str, str]) -> Said:
    if said.status == 401:
        raise KeyRefused
    if said.status in _BUSY:
        spent = _code(said.body) == _SPENT
        if headers.get("x-should-retry") == "false" and not spent:
            return said  # more than the limit itself: it would never have room
        after = headers.get("retry-after", "")
        raise NotAnswered(
            f"The gateway answered with status {said.status}.",
            busy=_ANSWERED not in headers,
            spent=spent,
            after_s=float(after) if after.isascii() and after.isdigit() else None,
            said=said,
        )
    if said.status in _BROKEN and _code(said.body) != _TOO_LARGE:
        raise NotAnswered(f"The gateway answered with status {said.status}.", said=said)
    return said


def _code(body: bytes) -> Any:
    try:
        return orjson.loads(body)["error"]["code"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
