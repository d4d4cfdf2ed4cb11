"""One engine with an OpenAI-compatible API, asked how likely a text is and what it answers."""

import json
import time
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Self

import httpx

from sluice_cli.platform.errors import CommandFailed
from sluice_cli.quantisation.loss import Answer, Scored

_TIMEOUT_S = 600.0
_NOT_FOUND = (400, 404, 405, 422, 501)


class Engine:
    """A model at `base_url` (which ends in /v1).

    Log-probabilities of a text come in one of two ways. llama.cpp has no question for them: its answer is forced along the text's own tokens by a grammar of
    token ids, and what it tells of each is the model's own probability, before the grammar. Others (vLLM) echo the prompt with its log-probabilities.
    """

    def __init__(
        self, base_url: str, model: str, key: str = "", *, transport: httpx.BaseTransport | None = None
    ) -> None:
        self.model = model
        self._base = base_url.rstrip("/")
        self._http = httpx.Client(
            timeout=_TIMEOUT_S,
            headers={"authorization": f"Bearer {key}"} if key else {},
            limits=httpx.Limits(
                max_keepalive_connections=0
            ),  # llama.cpp closes connections after a stream without saying so
            transport=transport,
        )
        self._forces: bool | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    @classmethod
    def at(cls, base_url: str, key: str = "") -> "Engine":
        """Return the only model at an address, or the first that it lists.

        Raises:
            CommandFailed: it does not answer, or lists none.
        """
        with cls(base_url, "", key) as asked:
            listed = asked._get("/models").get("data") or []
        if not listed:
            raise CommandFailed(f"{base_url} lists no model.")
        return cls(base_url, str(listed[0]["id"]), key)

    def about(self) -> tuple[int | None, str | None]:
        """Return the size of the weights in bytes and their format, as far as the engine tells (llama.cpp does)."""
        for one in self._get("/models").get("data") or []:
            meta = one.get("meta") if one.get("id") == self.model else None
            if isinstance(meta, dict) and meta.get("size"):
                return int(meta["size"]), meta.get("ftype")
        return None, None

    def score(self, window: str) -> tuple[Scored, ...] | None:
        """Return what the model thinks of each token of a text after the first; None if the engine does not tell.

        Raises:
            CommandFailed: the engine refuses or is away.
        """
        if self._forces is None:
            asked = self._post(self._base.removesuffix("/v1") + "/tokenize", {"content": window})
            self._forces = asked is not None and isinstance(asked.get("tokens"), list)
        return self._forced(window) if self._forces else self._echoed(window)

    def _forced(self, window: str) -> tuple[Scored, ...]:
        asked = self._post(self._base.removesuffix("/v1") + "/tokenize", {"content": window, "add_special": True})
        ids = [int(one) for one in (asked or {}).get("tokens", ())]
        if len(ids) < 2:
            return ()
        body = {
            "prompt": ids[:1],
            "grammar": "root ::= " + " ".join(f"<[{one}]>" for one in ids[1:]),
            "max_tokens": len(ids) - 1,
            "logprobs": 1,
            "cache_prompt": False,
        }
        told = _choice(self._complete(body)).get("logprobs") or {}
        found = told.get("content") or []
        if [one["id"] for one in found] != ids[1:]:
            raise CommandFailed(
                f"{self._base} did not follow the text ({len(found)} of {len(ids) - 1} tokens). Is a window of the text longer than the "
                "engine's context? Try a smaller --window."
            )
        return tuple(Scored(one["token"], one["logprob"], one["top_logprobs"][0]["token"]) for one in found)

    def _echoed(self, window: str) -> tuple[Scored, ...] | None:
        answer = self._complete({"prompt": window, "echo": True, "logprobs": 1, "max_tokens": 1})
        told = _choice(answer).get("logprobs") or {}
        tokens, values, tops = told.get("tokens"), told.get("token_logprobs"), told.get("top_logprobs")
        if not tokens or not values or not tops or values[0] is not None:
            return None  # the log-probabilities, if any, are those of the answer
        many = len(tokens) - int((answer.get("usage") or {}).get("completion_tokens", 1))
        return tuple(
            Scored(tokens[at], values[at], max(tops[at], key=tops[at].__getitem__)) for at in range(1, many) if tops[at]
        )

    def answer(self, prompt: str, most: int, *, chat: bool) -> Answer:
        """Return a greedy answer of at most so many tokens: to a question, or (`chat` False) how a text goes on.

        Raises:
            CommandFailed: the engine refuses or is away.
        """
        body: dict[str, Any] = {"model": self.model, "temperature": 0, "max_tokens": most, "stream": True}
        body |= {"messages": [{"role": "user", "content": prompt}]} if chat else {"prompt": prompt}
        body |= {"stream_options": {"include_usage": True}}
        if self._forces:  # llama.cpp: a prompt that is partly cached is computed in other batches, and rounds otherwise
            body["cache_prompt"] = False
        text, tokens, first, last = "", 0, 0.0, 0.0
        for chunk in self._stream("/chat/completions" if chat else "/completions", body):
            choice = (chunk.get("choices") or [{}])[0]
            said = (choice.get("delta") or {}).get("content") if chat else choice.get("text")
            if said:
                last = time.monotonic()
                first = first or last
                text += said
            tokens = int((chunk.get("usage") or {}).get("completion_tokens") or tokens)
        return Answer(text, tokens, last - first)

    def _complete(self, body: Mapping[str, Any]) -> dict[str, Any]:
        path = self._base + "/completions"
        found = self._post(path, {"model": self.model, "temperature": 0, **body}, needed=True)
        return found or {}

    def _get(self, path: str) -> dict[str, Any]:
        try:
            answer = self._http.get(self._base + path)
            answer.raise_for_status()
            found: dict[str, Any] = answer.json()
        except (httpx.HTTPError, ValueError) as exc:
            raise CommandFailed(f"{self._base}{path} gives no answer ({type(exc).__name__}).") from exc
        return found

    def _post(self, url: str, body: Mapping[str, Any], *, needed: bool = False) -> dict[str, Any] | None:
        try:
            answer = self._http.post(url, json=dict(body))
            if not needed and answer.status_code in _NOT_FOUND:
                return None
            if answer.is_error:
                raise CommandFailed(f"{url} answered {answer.status_code}: {answer.text[:300]}")
            found: dict[str, Any] = answer.json()
        except (httpx.HTTPError, ValueError) as exc:
            raise CommandFailed(f"{url} gives no answer ({type(exc).__name__}).") from exc
        return found

    def _stream(self, path: str, body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        url = self._base + path
        try:
            with self._http.stream("POST", url, json=dict(body)) as answer:
                if answer.is_error:
                    answer.read()
                    raise CommandFailed(f"{url} answered {answer.status_code}: {answer.text[:300]}")
                for line in answer.iter_lines():
                    if line.startswith("data: {"):
                        chunk: dict[str, Any] = json.loads(line[6:])
                        if "error" in chunk:
                            raise CommandFailed(f"{url} broke off: {str(chunk['error'])[:300]}")
                        yield chunk
        except (httpx.HTTPError, ValueError) as exc:
            raise CommandFailed(f"{url} broke off ({type(exc).__name__}).") from exc


def _choice(answer: Mapping[str, Any]) -> dict[str, Any]:
    choices = answer.get("choices") or [{}]
    found: dict[str, Any] = choices[0]
    return found
