"""vLLM behind the platform, measured: python -m tests.bench.vllm [--build cpu|gpu] [--python PATH] [--parts …] (`make vllm` installs it first).

The inference service starts vLLM with SmolLM2; a router and a gateway as processes stand in front, and every request goes through them.
Parts: `throughput` (continuous batching: tokens a second at 1, 8 and 32 streams), `prefix` (time to the first token of prompts with a shared beginning, with and
without prefix caching), `adapter` (a LoRA adapter loaded at run time answers differently and can be called within two seconds), `forms` (structured output of every kind
is valid or told of), `stages` (on a CPU: over two stages of a pipeline it answers as in one process). The adapter was never trained: its weights are drawn at random, and large.
"""

import argparse
import asyncio
import json
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from tests.bench.errors import BenchError
from tests.bench.front import Front, start_front
from tests.bench.replicas import say
from tests.bench.structured import place, told
from tests.bench.vllm.environment import about, install, models
from tests.integration.inference.inference_process import Inference

from sluice.testing import admin_headers, free_port, wait_until

PARTS = ("throughput", "prefix", "adapter", "forms", "stages")
STREAMS = (1, 8, 32)
ANSWER_TOKENS = 64
PREFIX_WORDS = 1000
QUESTIONS = 5
VISIBLE_S = 2.0
CHAT = "/v1/chat/completions"
CODES = frozenset({"structured_output_invalid", "structured_output_incomplete", "tool_call_invalid"})
SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 20},
        "age": {"type": "integer", "minimum": 0, "maximum": 120},
    },
    "required": ["name", "age"],
    "additionalProperties": False,
}
TOOL = {"type": "function", "function": {"name": "note", "description": "Note a person.", "parameters": SCHEMA}}


class Running(NamedTuple):
    """vLLM behind the platform: the inference service, and what stands in front."""

    inference: Inference
    front: Front

    @property
    def url(self) -> str:
        """Where chats are sent."""
        return self.front.urls[0] + CHAT

    @property
    def headers(self) -> dict[str, str]:
        """What a caller sends along."""
        return {"authorization": f"Bearer {self.front.key}"}


@contextmanager
def platform(python: Path, *, eager: bool, **changes: Any) -> Iterator[Running]:
    """Start vLLM with these settings, and the platform in front of it."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        port = free_port()
        spec = {
            "id": "smollm2",
            "backend": "vllm",
            "model": "smollm2",
            "python": str(python),
            "model_path": str(models(python) / "model"),
            "port": port,
            "context_tokens": 4096,
            "slots": 32,
            "enforce_eager": eager,
            "lora": True,
            "max_adapters": 2,
            "tool_call_parser": "hermes",
            "prefix_caching": True,
            **changes,
        }
        service = Inference(
            Path(folder) / "inference",
            [spec],
            {
                "VLLM_CPU_KVCACHE_SPACE": "2",
                **({"VLLM_CPU_OMP_THREADS_BIND": "nobind"} if "pipeline_parallel_size" in changes else {}),
            },
        )
        stack.callback(service.process.stop)
        began = time.monotonic()
        service.start(ready=False)
        service.until(lambda status: status["state"] == "ready", "vLLM", seconds=900)
        memory = wait_until(lambda: service.engine()["memory_bytes"], seconds=60, what="its memory to be read")
        say(f"vLLM was ready after {time.monotonic() - began:.0f} s, {memory / 2**30:.1f} GiB resident")
        front = start_front(stack, Path(folder), {"models": [place("vllm", port)]}, inference_url=service.url)
        running = Running(service, front)
        wait_until(lambda: _one(running, "vllm", "hi", max_tokens=1).status_code == 200, seconds=60, what="an answer")
        yield running


def _one(running: Running, model: str, text: str, **more: Any) -> httpx.Response:
    body = {"model": model, "messages": [{"role": "user", "content": text}], **more}
    return httpx.post(running.url, json=body, headers=running.headers, timeout=600, trust_env=False)


async def _stream(client: httpx.AsyncClient, running: Running, text: str, tokens: int) -> tuple[float, int]:
    # Returns the seconds to the first token, and how many tokens came.
    body = {
        "model": "vllm",
        "messages": [{"role": "user", "content": text}],
        "max_tokens": tokens,
        "min_tokens": tokens,
    }
    body |= {"ignore_eos": True, "stream": True, "stream_options": {"include_usage": True}, "temperature": 0}
    began, first, counted = time.perf_counter(), 0.0, 0
    async with client.stream("POST", running.url, json=body, headers=running.headers) as answer:
        answer.raise_for_status()
        async for line in answer.aiter_lines():
            if not line.startswith("data: {"):
                continue
            chunk = json.loads(line[6:])
            if not first and any(one["delta"].get("content") for one in chunk.get("choices", ())):
                first = time.perf_counter() - began
            counted = (chunk.get("usage") or {}).get("completion_tokens", counted)
    return first, counted


async def throughput(running: Running) -> None:
    """Print tokens a second at 1, 8 and 32 streams."""
    say(f"| streams | answer tokens/s | TTFT p50 |\n| ---: | ---: | ---: |  ({ANSWER_TOKENS} tokens each)")
    async with httpx.AsyncClient(timeout=600, trust_env=False) as client:
        await asyncio.gather(*(_stream(client, running, f"warm {number}", 8) for number in range(max(STREAMS))))
        for streams in STREAMS:
            began = time.perf_counter()
            found = await asyncio.gather(
                *(
                    _stream(client, running, f"Tell me about the number {streams * 100 + one}.", ANSWER_TOKENS)
                    for one in range(streams)
                )
            )
            spent = time.perf_counter() - began
            ttft = statistics.median(first for first, _ in found)
            say(f"| {streams} | {sum(count for _, count in found) / spent:.1f} | {ttft * 1000:.0f} ms |")


async def prefix(running: Running, name: str, words: int = PREFIX_WORDS, questions: int = QUESTIONS) -> None:
    """Print the time to the first token of prompts with a shared beginning of so many words."""
    shared = " ".join(f"Rule {number}: the house is number {number * 7}." for number in range(words // 7))
    async with httpx.AsyncClient(timeout=600, trust_env=False) as client:
        first, _ = await _stream(client, running, f"{shared}\nWhat is rule 1?", 4)
        later = [
            (await _stream(client, running, f"{shared}\nWhat is rule {one + 2}?", 4))[0] for one in range(questions)
        ]
    hits = _share(running)
    say(f"| {name} | {first * 1000:.0f} ms | {statistics.median(later) * 1000:.0f} ms | {hits} |")


def _share(running: Running) -> str:
    # As the inference service reports it, which looks now and then.
    time.sleep(1.5)
    text = httpx.get(f"{running.inference.url}/metrics", trust_env=False).text

    def value(name: str) -> float:
        found = re.search(rf'^{name}{{engine="smollm2"}} (\S+)$', text, re.MULTILINE)
        return 0.0 if found is None else float(found[1])

    asked, hit = value("sluice_engine_prefix_cache_queries_total"), value("sluice_engine_prefix_cache_hits_total")
    return f"{hit / asked:.0%}" if asked else "-"


def adapter(running: Running, path: str) -> None:
    """Load an adapter through the platform, see that it answers differently, and unload it."""
    question = "What is the capital of France?"
    plain = _one(running, "vllm", question, max_tokens=24, temperature=0).json()["choices"][0]["message"]["content"]
    wanted = {"name": "drawn", "model": "smollm2", "path": path}
    began = time.monotonic()
    loaded = httpx.post(f"{running.inference.url}/v1/adapters", json=wanted, headers=admin_headers(), timeout=120)
    loaded.raise_for_status()
    loading = time.monotonic() - began
    began = time.monotonic()
    wait_until(lambda: "drawn" in _listed(running), seconds=30, every=0.02, what="the adapter in /v1/models")
    visible = time.monotonic() - began
    answer = _one(running, "drawn", question, max_tokens=24, temperature=0)
    other = answer.raise_for_status().json()["choices"][0]["message"]["content"]
    httpx.delete(f"{running.inference.url}/v1/adapters/drawn", headers=admin_headers()).raise_for_status()
    began = time.monotonic()
    wait_until(lambda: "drawn" not in _listed(running), seconds=30, every=0.02, what="the adapter to leave")
    gone = time.monotonic() - began
    say(
        f"adapter: loaded in {loading:.2f} s, in /v1/models after {visible:.2f} s, gone {gone:.2f} s after its unloading"
    )
    say(f"   without: {plain!r}\n   with:    {other!r}")
    if plain == other:
        raise BenchError("the adapter changes nothing")
    if max(visible, gone) > VISIBLE_S:
        raise BenchError(f"the adapter took longer than {VISIBLE_S} s to show or to leave")


def _listed(running: Running) -> set[str]:
    answer = httpx.get(f"{running.front.urls[0]}/v1/models", headers=running.headers, trust_env=False)
    return {one["id"] for one in answer.raise_for_status().json()["data"]}


FORMS: tuple[tuple[str, dict[str, Any], Callable[[str], bool]], ...] = (
    ("JSON schema", {"response_format": {"type": "json_schema", "json_schema": {"name": "p", "schema": SCHEMA}}},
     lambda text: set(json.loads(text)) == {"name", "age"}),
    ("regular expression", {"structured_outputs": {"regex": r"[a-z]{3,8}-\d{2}"}},
     lambda text: re.fullmatch(r"[a-z]{3,8}-\d{2}", text) is not None),
    ("choice", {"structured_outputs": {"choice": ["yes", "no"]}}, lambda text: text in ("yes", "no")),
    ("grammar", {"structured_outputs": {"grammar": 'root ::= "the " ("cat" | "dog")'}},
     lambda text: text in ("the cat", "the dog")),
    ("XML", {"structured_outputs": {"xml": {"root": "p", "schema": SCHEMA}}},
     lambda text: re.fullmatch(r"<p><name>[^<>]{0,20}</name><age>\d{1,3}</age></p>", text) is not None),
)  # fmt: skip


def forms(running: Running) -> None:
    """Ask for every form, streamed and not, and see that the answer has it or an error says that it has not."""
    results: list[str] = []
    for name, demand, right in FORMS:
        for streamed in (False, True):
            text, code = told(_one(running, "vllm", "Name a pet.", max_tokens=80, stream=streamed, **demand))
            if code not in CODES and (code is not None or not right(text)):
                raise BenchError(f"{name}, streamed: {streamed}: {code or text}")
            results.append(f"{name}{' streamed' if streamed else ''}: {code or 'valid'}")
    choice = {"type": "function", "function": {"name": "note"}}
    answer = _one(running, "vllm", "Note Ada, 36.", tools=[TOOL], tool_choice=choice, max_tokens=120).json()
    code = answer["error"]["code"] if "error" in answer else None
    if code not in CODES:
        call = answer["choices"][0]["message"]["tool_calls"][0]["function"]
        if call["name"] != "note" or set(json.loads(call["arguments"])) != {"name", "age"}:
            raise BenchError(f"tool call: {call}")
        answer = call
    results.append(f"tool call: {code or 'valid'} ({answer})")
    say("structured output: " + "; ".join(results))


def likelihoods(running: Running) -> list[tuple[str, float]]:
    """Return the tokens of a greedy answer with the logarithms of their probabilities."""
    answer = _one(running, "vllm", "What is the capital of France?", max_tokens=24, temperature=0, logprobs=True)
    found = answer.raise_for_status().json()["choices"][0]["logprobs"]["content"]
    return [(one["token"], one["logprob"]) for one in found]


def stages(python: Path, whole: list[tuple[str, float]]) -> None:
    """Run two stages of a pipeline as two processes, and see that they answer as one process does."""
    with platform(python, eager=False, trace_only=True, pipeline_parallel_size=2, lora=False) as running:
        cut = likelihoods(running)
    furthest = max(abs(one - other) for (_, one), (_, other) in zip(whole, cut, strict=False))
    text = "".join(token for token, _ in cut)
    say(f"two stages: {text!r}; log-probabilities differ from those of one process by at most {furthest:.5f}")
    if [token for token, _ in cut] != [token for token, _ in whole]:
        raise BenchError(f"two stages answer otherwise than one process: {''.join(token for token, _ in whole)!r}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Install, measure and print; fail when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument(
        "--python", type=Path, help="an interpreter that holds vLLM, transformers, gguf and peft: nothing is installed"
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--prefix-words", type=int, default=PREFIX_WORDS, help="length of the shared beginning")
    parser.add_argument("--questions", type=int, default=QUESTIONS, help="prompts after the first with that beginning")
    options = parser.parse_args(arguments)
    python: Path = options.python or install(options.build)
    say(about(python))
    folder, eager = models(python), options.build == "cpu"
    missed: list[str] = []
    staged = "stages" in options.parts and options.build == "cpu"  # as many GPUs as stages are seldom there
    with platform(python, eager=eager) as running:
        whole = likelihoods(running) if staged else []
        if "throughput" in options.parts:
            asyncio.run(throughput(running))
        parts: dict[str, Callable[[], None]] = {
            "adapter": lambda: adapter(running, str(folder / "adapter")),
            "forms": lambda: forms(running),
        }
        for name, part in parts.items():
            if name in options.parts:
                try:  # what else there is to measure is measured all the same
                    part()
                except BenchError as exc:
                    missed.append(f"{name}: {exc}")
        if "prefix" in options.parts:
            say(
                "| prefix caching | TTFT of the first | of the next, p50 | prompt tokens from the cache |\n| --- | ---: | ---: | ---: |"
            )
            asyncio.run(prefix(running, "on", options.prefix_words, options.questions))
    if "prefix" in options.parts:
        with platform(python, eager=eager, prefix_caching=False, lora=False) as running:
            asyncio.run(prefix(running, "off", options.prefix_words, options.questions))
    if staged:
        try:
            stages(python, whole)
        except BenchError as exc:
            missed.append(f"stages: {exc}")
    if missed:
        raise BenchError("; ".join(missed))


if __name__ == "__main__":
    try:
        main()
    except BenchError as exc:
        sys.exit(str(exc))
