"""Servers of detectors in their true wire formats: vLLM's `/classify`, Text Embeddings Inference's `/predict`, LettuceDetect 0.2 and the LLM Guard API.

Texts that hold `attack` are attacks, and answers that hold `69` are not supported from there to the end of the number's sentence.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass
class DetectorServer:
    """One server of all of them, which can be slow, broken, or answer with something else."""

    url: str = ""
    seen: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    left_out: int = 0
    stall_s: float = 0.0
    status: int = 200
    instead: Any = None

    async def _answer(self, request: web.Request, found: Any) -> web.Response:
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        await asyncio.sleep(self.stall_s)
        return web.json_response(self.instead if self.instead is not None else found, status=self.status)

    async def _body(self, request: web.Request) -> dict[str, Any]:
        body: dict[str, Any] = await request.json()
        self.seen.append(body)
        return body

    async def classify(self, request: web.Request) -> web.Response:
        """Answer as vLLM does for a model of two classes, in any order."""
        body = await self._body(request)
        data = [
            {"index": at, "label": "LABEL_1", "probs": [0.02, 0.98] if "attack" in text else [0.97, 0.03], "num_classes": 2}
            for at, text in enumerate(body["input"])
        ]  # fmt: skip
        return await self._answer(
            request, {"id": "c", "object": "list", "data": data[self.left_out :][::-1], "usage": {}}
        )

    async def predict(self, request: web.Request) -> web.Response:
        """Answer as Text Embeddings Inference does: the likeliest class first; more than 32 texts are refused."""
        body = await self._body(request)
        if len(body["inputs"]) > 32:
            self.status = 422
        found = [
            [{"score": 0.98, "label": "LABEL_1"}, {"score": 0.02, "label": "LABEL_0"}] if "attack" in text
            else [{"score": 0.97, "label": "LABEL_0"}, {"score": 0.03, "label": "LABEL_1"}]
            for (text,) in body["inputs"]
        ]  # fmt: skip
        return await self._answer(request, found[self.left_out :])

    async def spans(self, request: web.Request) -> web.Response:
        """Answer as LettuceDetect does: spans in characters of the answer."""
        body = await self._body(request)
        if not all(isinstance(body[name], str) for name in ("question", "answer")):
            self.status = 422
        answer = body["answer"]
        start = answer.find("69")
        end = answer.find(".", start) + 1
        found = [{"start": start, "end": end, "text": answer[start:end], "hallucination_score": 0.9}]
        return await self._answer(request, {"predictions": found if start >= 0 else []})

    async def scan(self, request: web.Request) -> web.Response:
        """Answer as the LLM Guard API does: risks from -1 to 1, those above 0 refuse."""
        body = await self._body(request)
        text = body["output"] if request.path == "/scan/output" else body["prompt"]
        scanners = {"PromptInjection": 1.0 if "attack" in text else -1.0, "Sentiment": 0.4 if "sad" in text else -0.2}
        wanted = {name: risk for name, risk in scanners.items() if name not in body.get("scanners_suppress", [])}
        return await self._answer(request, {"is_valid": all(risk <= 0 for risk in wanted.values()), "scanners": wanted})


@asynccontextmanager
async def detector_server() -> AsyncIterator[DetectorServer]:
    """Serve them on a free port."""
    found = DetectorServer()
    app = web.Application()
    app.router.add_post("/classify", found.classify)
    app.router.add_post("/predict", found.predict)
    app.router.add_post("/v1/lettucedetect/spans", found.spans)
    app.router.add_post("/scan/prompt", found.scan)
    app.router.add_post("/scan/output", found.scan)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield found
    finally:
        await runner.cleanup()
