"""The questions that the keeper asks an engine over HTTP."""

from collections.abc import Callable, Mapping

import aiohttp

from sluice_inference.domain.errors import EngineFailed
from sluice_inference.domain.readings import Reading, parse_reading
from sluice_inference.domain.specs import EngineSpec, RemoteSpec

_SHOWN = 300


class HttpProbe:
    """Asks over a session that closes each connection: engines drop idle ones, which would look like a failure.

    `secret` reads a variable of the environment by name (the key of a remote engine).
    """

    def __init__(self, session: aiohttp.ClientSession, secret: Callable[[str], str | None]) -> None:
        self._session = session
        self._secret = secret

    async def is_up(self, spec: EngineSpec) -> None:
        """Ask whether it is there: its health page, or a remote engine's list of models."""
        url = f"{spec.base_url}/models" if isinstance(spec, RemoteSpec) else f"{_root(spec)}/health"
        await self._ask(spec, "GET", url, spec.probe_timeout_s)

    async def generate(self, spec: EngineSpec) -> None:
        """Let it generate one token of a chat."""
        body = {"model": spec.model, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
        # The first generation of some engines compiles kernels, so it gets the time of the whole start.
        await self._ask(spec, "POST", f"{spec.base_url}/chat/completions", spec.start_timeout_s, body)

    async def read(self, spec: EngineSpec) -> Reading:
        """Read its counters."""
        url = spec.metrics_url if isinstance(spec, RemoteSpec) else f"{_root(spec)}/metrics"
        if not url:
            await self.is_up(spec)
            return Reading()
        return parse_reading(await self._ask(spec, "GET", url, spec.probe_timeout_s))

    async def load_adapter(self, spec: EngineSpec, name: str, path: str) -> None:
        """Load a LoRA adapter; vLLM refuses one twice, which is no failure."""
        url, body = f"{spec.base_url}/load_lora_adapter", {"lora_name": name, "lora_path": path}
        try:
            await self._ask(spec, "POST", url, spec.start_timeout_s, body)
        except EngineFailed as exc:
            if "already been loaded" not in exc.detail:
                raise

    async def unload_adapter(self, spec: EngineSpec, name: str) -> None:
        """Unload a LoRA adapter."""
        url, body = f"{spec.base_url}/unload_lora_adapter", {"lora_name": name}
        try:
            await self._ask(spec, "POST", url, spec.probe_timeout_s, body)
        except EngineFailed as exc:
            if "status 404" not in exc.detail:
                raise

    async def _ask(
        self, spec: EngineSpec, method: str, url: str, timeout_s: float, body: Mapping[str, object] | None = None
    ) -> str:
        timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=min(3.0, timeout_s))
        try:
            async with self._session.request(
                method, url, json=body, headers=self._headers(spec), timeout=timeout, allow_redirects=False
            ) as response:
                answer, status = await response.text(errors="replace"), response.status
        except TimeoutError as exc:
            raise EngineFailed(f"Engine {spec.id} did not answer within {timeout_s:g} s at {url}.") from exc
        except (aiohttp.ClientError, OSError) as exc:
            raise EngineFailed(f"Engine {spec.id} cannot be reached at {url} ({type(exc).__name__}).") from exc
        if status >= 400 or status < 200:
            raise EngineFailed(f"Engine {spec.id} answered {url} with status {status}: {answer[:_SHOWN]}")
        return answer

    def _headers(self, spec: EngineSpec) -> dict[str, str]:
        key = self._secret(spec.api_key_env) if isinstance(spec, RemoteSpec) and spec.api_key_env else None
        return {"authorization": f"Bearer {key}"} if key else {}


def _root(spec: EngineSpec) -> str:
    return spec.base_url.removesuffix("/v1")
