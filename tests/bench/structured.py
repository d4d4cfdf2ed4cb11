"""Sends requests that demand JSON of a schema: python -m tests.bench.structured [--requests 300] [--engines llamacpp vllm].

Schemas and questions are drawn with a fixed seed; half of the requests are streamed. They go through a gateway and router as processes to engines that
the inference service runs, and what comes back is judged here with another library (jsonschema) than the gateway's. The bar: every answer
is valid, or a typed error. vLLM is used when `make vllm` has installed it.
"""

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from jsonschema import Draft202012Validator
from tests.bench.errors import BenchError
from tests.bench.front import start_front
from tests.bench.replicas import say
from tests.bench.vllm.environment import models, python_of
from tests.integration.inference.inference_process import Inference, smollm2

from sluice.testing import free_port, wait_until

TYPED = frozenset({"structured_output_invalid", "structured_output_incomplete"})
SEED = 4
CONCURRENT = 8
ANSWER_TOKENS = 160
ENGINES = ("llamacpp", "vllm")


class Asked(NamedTuple):
    """What one request came to: `valid`, a typed error's code, or what else went wrong."""

    engine: str
    streamed: bool
    result: str


def schema(drawn: random.Random, depth: int = 0) -> dict[str, Any]:
    """Return an object schema of one to four properties, which may be objects and lists themselves."""
    names = drawn.sample(["name", "age", "tags", "size", "kind", "active", "note", "parts"], drawn.randint(1, 4))
    properties = {name: _value(drawn, depth) for name in names}
    required = drawn.sample(names, drawn.randint(1, len(names)))
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _value(drawn: random.Random, depth: int) -> dict[str, Any]:
    kinds = ["integer", "bounded", "enum", "string", "pattern", "boolean", "list", "nullable"]
    kind = drawn.choice(kinds if depth else [*kinds, "object"])
    low = drawn.randint(0, 50)
    simple: dict[str, dict[str, Any]] = {
        "integer": {"type": "integer"},
        "bounded": {"type": "integer", "minimum": low, "maximum": low + drawn.randint(1, 100)},
        "enum": {"enum": drawn.sample(["red", "green", "blue", "grey", 1, 2.5, None], 3)},
        "string": {"type": "string", "maxLength": drawn.randint(3, 20)},
        "pattern": {"type": "string", "pattern": drawn.choice([r"^[A-Z]{2}-\d{3}$", r"^\d{4}$", r"^[a-z]+$"])},
        "boolean": {"type": "boolean"},
        "nullable": {"type": ["integer", "null"]},
    }
    if kind == "list":
        return {"type": "array", "items": _value(drawn, depth + 2), "minItems": 1, "maxItems": drawn.randint(1, 4)}
    return schema(drawn, depth + 1) if kind == "object" else simple[kind]


async def ask(client: httpx.AsyncClient, url: str, engine: str, wanted: dict[str, Any], *, streamed: bool) -> Asked:
    """Send one request and judge what comes back."""
    question = f"Describe a thing as JSON with these properties: {', '.join(wanted['properties'])}."
    body = {
        "model": engine,
        "messages": [{"role": "user", "content": question}],
        "max_tokens": ANSWER_TOKENS,
        "temperature": 0.7,
        "stream": streamed,
        "response_format": {"type": "json_schema", "json_schema": {"name": "thing", "schema": wanted}},
    }
    answer = await client.post(f"{url}/v1/chat/completions", json=body)
    return Asked(engine, streamed, _judged(*told(answer), wanted))


def told(answer: httpx.Response) -> tuple[str, str | None]:
    """Return the text of an answer or stream, and what its error says."""
    if not answer.headers["content-type"].startswith("text/event-stream"):
        found = answer.json()
        error = found.get("error")
        return ("", str(error["code"])) if error else (found["choices"][0]["message"]["content"], None)
    chunks = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]
    errors = [str(chunk["error"]["code"]) for chunk in chunks if "error" in chunk]
    text = "".join(one["delta"].get("content") or "" for chunk in chunks for one in chunk.get("choices", ()))
    if not errors and not answer.text.endswith("data: [DONE]\n\n"):
        errors = ["the stream has no end"]
    return text, errors[0] if errors else None


def _judged(text: str, error: str | None, wanted: dict[str, Any]) -> str:
    if error is not None:
        return error
    try:
        problem = next(iter(Draft202012Validator(wanted).iter_errors(json.loads(text))), None)
    except json.JSONDecodeError:
        return f"no JSON: {text[:200]}"
    return "valid" if problem is None else f"invalid: {problem.message} in {text[:200]}"


async def run(url: str, key: str, engines: Sequence[str], requests: int) -> list[Asked]:
    """Send all requests, so many at a time, to the engines in turn."""
    drawn = random.Random(SEED)
    todo = [
        (engines[number % len(engines)], schema(drawn), number // len(engines) % 2 == 0) for number in range(requests)
    ]
    found: list[Asked] = []
    async with httpx.AsyncClient(timeout=600, headers={"authorization": f"Bearer {key}"}, trust_env=False) as client:

        async def worker() -> None:
            while todo:
                engine, wanted, streamed = todo.pop()
                found.append(await ask(client, url, engine, wanted, streamed=streamed))
                if len(found) % 50 == 0:
                    say(f"{len(found)} of {requests}: {dict(Counter(one.result for one in found))}")

        await asyncio.gather(*(worker() for _ in range(CONCURRENT)))
    return found


def vllm_engine(port: int, **changes: Any) -> dict[str, Any]:
    """Return the description of SmolLM2 on vLLM's own environment for CPUs."""
    if not python_of("cpu").exists():
        raise BenchError("vLLM is not installed here. Run `make vllm` first, or leave it out with --engines llamacpp.")
    return {
        "id": "vllm",
        "backend": "vllm",
        "model": "smollm2",
        "python": str(python_of("cpu")),
        "model_path": str(models(python_of("cpu")) / "model"),
        "port": port,
        "context_tokens": 2048,
        "slots": 32,
        "enforce_eager": True,
        **changes,
    }


def place(engine: str, port: int) -> dict[str, Any]:
    """Return a model of models.yaml on one engine."""
    deployment = {
        "id": engine,
        "provider": engine,
        "base_url": f"http://127.0.0.1:{port}/v1",
        "upstream_model": "smollm2",
    }
    health = {"path": "/health", "at": "host"}
    return {
        "name": engine,
        "price": {"input": 0, "output": 0},
        "deployments": [{**deployment, "timeout_s": 600, "health": health}],
    }


def measure(engines: Sequence[str], requests: int) -> list[Asked]:
    """Start everything, send all requests, and return what they came to."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        ports = {engine: free_port() for engine in engines}
        described = {
            "llamacpp": lambda port: smollm2(port, slots=4, context_tokens=2048),
            "vllm": vllm_engine,
        }
        specs = [described[engine](port) for engine, port in ports.items()]
        service = Inference(Path(folder) / "inference", specs, {"VLLM_CPU_KVCACHE_SPACE": "1"})
        stack.callback(service.process.stop)
        service.start(ready=False)
        ids = [spec["id"] for spec in specs]
        wait_until(lambda: all(service.engine(one)["state"] == "ready" for one in ids), seconds=900, what="the engines")
        routing = {"models": [place(engine, port) for engine, port in ports.items()]}
        front = start_front(stack, Path(folder), routing, inference_url=service.url)
        return asyncio.run(run(front.urls[0], front.key, engines, requests))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and fail when the bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=300)
    there = [one for one in ENGINES if one != "vllm" or python_of("cpu").exists()]
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=there)
    options = parser.parse_args(arguments)
    began = time.monotonic()
    found = measure(options.engines, options.requests)
    say(f"{len(found)} requests in {time.monotonic() - began:.0f} s, {CONCURRENT} at a time")
    say("| engine | streamed | valid | typed error | neither |\n| --- | --- | ---: | ---: | ---: |")
    wrong = [one for one in found if one.result != "valid" and one.result not in TYPED]
    for engine in options.engines:
        for streamed in (False, True):
            counts = Counter(one.result for one in found if one.engine == engine and one.streamed is streamed)
            typed = ", ".join(f"{counts[code]} {code}" for code in sorted(TYPED) if counts[code]) or "0"
            other = sum(counts.values()) - counts["valid"] - sum(counts[code] for code in TYPED)
            say(f"| {engine} | {'yes' if streamed else 'no'} | {counts['valid']} | {typed} | {other} |")
    for one in wrong[:10]:
        say(f"neither: {one}")
    if wrong:
        raise BenchError("not every answer is valid or a typed error")


if __name__ == "__main__":
    try:
        main()
    except BenchError as exc:
        sys.exit(str(exc))
