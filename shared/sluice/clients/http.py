"""The HTTP client of all typed clients: service token, trace, deadline, retries and a circuit breaker."""

import asyncio
import io
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, TypeVar

import aiohttp
from opentelemetry.trace import SpanKind
from pydantic import BaseModel, TypeAdapter, ValidationError

from sluice.auth import ServiceTokens
from sluice.clients.deadline import DEADLINE_HEADER, remaining
from sluice.clients.egress import proxy_for, trusted
from sluice.clock import Clock, SystemClock
from sluice.errors import (
    BadRequest,
    Conflict,
    DeadlineExceeded,
    DependencyUnavailable,
    Forbidden,
    NotFound,
    PayloadTooLarge,
    SluiceError,
    TooManyRequests,
    Unauthorized,
    Unprocessable,
    UpstreamFailed,
)
from sluice.telemetry import names
from sluice.telemetry.tracing import Tracing, inject

Answer = TypeVar("Answer", bound=BaseModel)
_RETRIED_STATUS = frozenset({502, 503})
_CONNECT_S = 2.0
_LARGE = 1 << 20  # written piece by piece, so that the loop goes on beside it
_SAFE_METHODS = frozenset({"GET", "HEAD", "PUT", "DELETE"})
_BY_STATUS: Mapping[int, type[SluiceError]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    413: PayloadTooLarge,
    422: Unprocessable,
    429: TooManyRequests,
    503: DependencyUnavailable,
    504: DeadlineExceeded,
}


class HttpAnswer(NamedTuple):
    """What came back over the wire."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport(Protocol):
    """Sends one request; raises OSError when nothing came back and TimeoutError when it took too long."""

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, timeout_s: float
    ) -> HttpAnswer:
        """Send and read the whole answer."""
        ...


class AiohttpTransport:
    """Over the network, with one pool of connections."""

    def __init__(self, limit: int = 200) -> None:
        self._limit = limit
        self._session: aiohttp.ClientSession | None = None

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, timeout_s: float
    ) -> HttpAnswer:
        """Send and read the whole answer."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._limit, ssl=trusted()), auto_decompress=True
            )
        timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=min(_CONNECT_S, timeout_s))
        try:
            async with self._session.request(
                method,
                url,
                headers=headers,
                data=body if body is None or len(body) < _LARGE else io.BytesIO(body),
                timeout=timeout,
                allow_redirects=False,
                proxy=proxy_for(url),
            ) as response:
                return HttpAnswer(
                    response.status, {k.lower(): v for k, v in response.headers.items()}, await response.read()
                )
        except aiohttp.ConnectionTimeoutError as exc:
            if timeout_s < _CONNECT_S:
                raise TimeoutError from exc
            raise ConnectionError(type(exc).__name__) from exc
        except aiohttp.ClientError as exc:
            raise ConnectionError(type(exc).__name__) from exc

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()


@dataclass(slots=True)
class Breaker:
    """Opens after `threshold` failures in a row; after `open_s` one trial call goes through (half-open)."""

    clock: Clock = field(default_factory=SystemClock)
    threshold: int = 5
    open_s: float = 5.0
    _failures: int = 0
    _opened_at: float | None = None
    _trial: bool = False

    def allows(self) -> bool:
        """Tell whether a call may go out now."""
        if self._opened_at is None:
            return True
        if self._trial or self.clock.monotonic() - self._opened_at < self.open_s:
            return False
        self._trial = True
        return True

    def succeeded(self) -> None:
        """Note a call that was answered."""
        self._failures, self._opened_at, self._trial = 0, None, False

    def failed(self) -> None:
        """Note a call that was not answered, or with 502 or 503."""
        self._failures += 1
        self._trial = False
        if self._failures >= self.threshold:
            self._opened_at = self.clock.monotonic()

    def abandoned(self) -> None:
        """Note a call that was cancelled by us: it says nothing about the service."""
        self._trial = False


def _present() -> None:
    # Most services are part of every installation that asks them.
    return


@dataclass(slots=True)
class ServiceClient:
    """Calls one service on behalf of a tenant.

    Safe methods, and calls marked `idempotent`, are tried `retries` times more on a broken connection or a 502/503, with
    a growing pause and jitter, inside the caller's deadline. Errors of the service become our error classes with
    its sentence; a service that is away is `DependencyUnavailable`, and after five failures in a row the breaker
    answers at once for five seconds. A 503 that says when to come back (`Retry-After`) is an answer of a service that is there. `check` is called first, and refuses where the service is not part of the installation.
    """

    service: str
    base_url: str
    tokens: ServiceTokens
    transport: Transport
    tracing: Tracing
    subject: str = "service"
    retries: int = 2
    timeout_s: float = 10.0
    breaker: Breaker = field(default_factory=Breaker)
    check: Callable[[], None] = _present

    async def request(
        self,
        method: str,
        path: str,
        body: BaseModel | bytes | None = None,
        *,
        reply: type[Answer],
        tenant: str,
        timeout_s: float | None = None,
        idempotent: bool = False,
        whole: bool = False,
    ) -> Answer:
        """Call and parse the answer as `reply`."""
        answer = await self.call(
            method, path, body, tenant=tenant, timeout_s=timeout_s, idempotent=idempotent, whole=whole
        )
        try:
            return TypeAdapter(reply).validate_json(answer.body)
        except ValidationError as exc:
            raise UpstreamFailed(f"The {self.service} service answered in a shape that is not understood.") from exc

    async def call(
        self,
        method: str,
        path: str,
        body: BaseModel | bytes | None = None,
        *,
        tenant: str,
        timeout_s: float | None = None,
        idempotent: bool = False,
        whole: bool = False,
    ) -> HttpAnswer:
        """Call and return the raw answer of a success; a body of bytes goes as it is.

        Of other bodies only what is not at its default is sent, unless they go `whole`: a service refuses fields that it does not
        know, and one of an older version shall answer whatever asks for nothing new.

        Raises:
            SluiceError: the service refused (its status and sentence), is off or away, or took too long.
        """
        self.check()
        if isinstance(body, BaseModel):
            payload: bytes | None = body.model_dump_json(exclude_none=True, exclude_defaults=not whole).encode()
            kind = "application/json"
        else:
            payload, kind = body, "application/octet-stream"
        attempts = 1 + (self.retries if idempotent or method in _SAFE_METHODS else 0)
        attributes = {names.HTTP_METHOD: method, names.URL_PATH: path, "peer.service": self.service}
        with self.tracing.span(f"{method} {self.service}", kind=SpanKind.CLIENT, attributes=attributes):
            for attempt in range(1, attempts + 1):
                answer = await self._try(
                    method, path, payload, kind, tenant, timeout_s or self.timeout_s, last=attempt == attempts
                )
                if answer is not None:
                    return _checked(self.service, answer)
                await asyncio.sleep(min(0.05 * 2**attempt, 0.5) * (0.5 + random.random() / 2))  # noqa: S311 - jitter
            raise AssertionError("the last attempt returns or raises")

    async def _try(
        self, method: str, path: str, payload: bytes | None, kind: str, tenant: str, limit: float, *, last: bool
    ) -> HttpAnswer | None:
        # None asks for another attempt.
        timeout = remaining(limit)
        if not self.breaker.allows():
            raise DependencyUnavailable(
                f"The {self.service} service is not answering; it is tried again in a few seconds."
            )
        try:
            answer = await self.transport.send(
                method, self.base_url + path, self._headers(tenant, timeout, kind if payload else ""), payload, timeout
            )
        except TimeoutError as exc:
            if timeout < limit:  # its caller allowed less than usual, which says nothing of the service
                self.breaker.abandoned()
            else:
                self.breaker.failed()
            raise DeadlineExceeded(f"The {self.service} service did not answer within {timeout:.1f} s.") from exc
        except OSError as exc:
            self.breaker.failed()
            if last:
                raise DependencyUnavailable(f"The {self.service} service cannot be reached.") from exc
            return None
        except BaseException:
            self.breaker.abandoned()
            raise
        if answer.status in _RETRIED_STATUS and "retry-after" not in answer.headers:
            self.breaker.failed()
            return answer if last else None
        self.breaker.succeeded()
        return answer

    def _headers(self, tenant: str, timeout: float, kind: str) -> dict[str, str]:
        headers = {
            "authorization": f"Bearer {self.tokens.mint(self.service, tenant=tenant, subject=self.subject)}",
            "accept": "application/json",
            DEADLINE_HEADER: str(max(1, int(timeout * 1000))),
        }
        if kind:
            headers["content-type"] = kind
        inject(headers)
        return headers


def _checked(service: str, answer: HttpAnswer) -> HttpAnswer:
    if answer.status < 400:
        return answer
    known = _BY_STATUS.get(answer.status, UpstreamFailed)
    problem = _Problem.read(answer.body)
    error = known(problem.detail or f"The {service} service answered with status {answer.status}.")
    if problem.code:
        error.code = problem.code  # type: ignore[misc] # the service's own code is more exact than the class's
    if "retry-after" in answer.headers:
        error.headers["Retry-After"] = answer.headers["retry-after"]
    raise error


class _Problem(BaseModel):
    detail: str = ""
    code: str = ""

    @classmethod
    def read(cls, body: bytes) -> "_Problem":
        try:
            return cls.model_validate_json(body)
        except ValidationError:
            return cls()
