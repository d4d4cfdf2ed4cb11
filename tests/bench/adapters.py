"""Loads and unloads a LoRA adapter on two llama.cpp replicas under load: python -m tests.bench.adapters.

Two engines of one model (SmolLM2), the inference service that keeps them, a router and a gateway as processes. Clients ask for the model all the time. The
adapter (never trained: its weights are drawn at random, and large) is loaded by one call, has to be in `/v1/models` and to answer differently on both
replicas within two seconds, makes room for a second one, and is gone within two seconds of its unloading. The bars: those, and no request of the model or of an
adapter that is listed fails.
"""

import argparse
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
from tests.bench.errors import BenchError
from tests.bench.front import Front, start_front
from tests.bench.replicas import say
from tests.integration.inference.inference_process import Inference, smollm2
from tests.integration.inference.lora_file import write_adapter

from sluice.testing import admin_headers, free_port, wait_until

REPLICAS = 2
VISIBLE_S = 2.0
QUESTION = [{"role": "user", "content": "What is the capital of France?"}]


class Caller:
    """Asks a gateway for one model after the other request, and counts what comes."""

    def __init__(self, front: Front, model: str) -> None:
        self.results: Counter[str] = Counter()
        self._front, self._model = front, model
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def stop(self) -> Counter[str]:
        """Let the last request end and return how often each status came."""
        self._over.set()
        self._thread.join()
        return self.results

    def _work(self) -> None:
        while not self._over.is_set():
            answer = ask(self._front, self._model, max_tokens=4)
            self.results[str(answer.status_code)] += 1
            if answer.status_code == 404:
                return  # it is unloaded


def ask(front: Front, model: str, max_tokens: int = 12) -> httpx.Response:
    """Ask the question that an adapter answers differently."""
    body = {"model": model, "messages": QUESTION, "max_tokens": max_tokens, "temperature": 0}
    headers = {"authorization": f"Bearer {front.key}"}
    return httpx.post(f"{front.urls[0]}/v1/chat/completions", json=body, headers=headers, timeout=120, trust_env=False)


def listed(front: Front) -> set[str]:
    """Return the models that the gateway lists."""
    headers = {"authorization": f"Bearer {front.key}"}
    answer = httpx.get(f"{front.urls[0]}/v1/models", headers=headers, trust_env=False, timeout=10)
    return {one["id"] for one in answer.raise_for_status().json()["data"]}


def seconds_until(front: Front, name: str, *, there: bool) -> float:
    """Return the seconds until the gateway lists a model, or does so no more."""
    began = time.monotonic()
    wait_until(lambda: (name in listed(front)) is there, seconds=30, every=0.02, what=f"{name} in /v1/models: {there}")
    spent = time.monotonic() - began
    say(f"{name} {'in' if there else 'left'} /v1/models after {spent:.2f} s")
    return spent


def load(service: Inference, name: str, path: Path) -> dict[str, Any]:
    """Load an adapter on all replicas."""
    body = {"name": name, "model": "smollm2", "path": str(path)}
    answer = httpx.post(f"{service.url}/v1/adapters", json=body, headers=admin_headers(), timeout=300, trust_env=False)
    found: dict[str, Any] = answer.raise_for_status().json()
    return found


def places(front: Front, name: str, plain: str) -> tuple[set[str], bool]:
    """Return the deployments that answered for an adapter, and whether all answers were others than the model's."""
    answers = [ask(front, name) for _ in range(8)]
    texts = [one.raise_for_status().json()["choices"][0]["message"]["content"] for one in answers]
    return {one.headers["x-sluice-deployment"] for one in answers}, plain not in texts


def measure(folder: Path, stack: ExitStack) -> list[str]:
    """Run it all and return the bars that were missed."""
    ports = [free_port() for _ in range(REPLICAS)]
    more = {"lora": True, "max_adapters": 1, "context_tokens": 512}
    specs = [smollm2(port, id=f"replica-{at}", first_adapter_port=free_port(), **more) for at, port in enumerate(ports)]
    service = Inference(folder / "inference", specs)
    stack.callback(service.process.stop)
    service.start()
    wait_until(
        lambda: all(service.engine(one["id"])["state"] == "ready" for one in specs), seconds=120, what="the engines"
    )
    deployments = [
        {"id": f"replica-{at}", "provider": "llamacpp", "base_url": f"http://127.0.0.1:{port}/v1", "timeout_s": 120}
        for at, port in enumerate(ports)
    ]
    models = {
        "models": [
            {
                "name": "small",
                "price": {"input": 0, "output": 0},
                "balance": "two_choices",
                "deployments": [{**one, "health": {"path": "/health", "at": "host"}} for one in deployments],
            }
        ]
    }
    front = start_front(stack, folder, models, inference_url=service.url)
    wait_until(lambda: ask(front, "small").status_code == 200, seconds=60, what="an answer")
    plain = ask(front, "small").json()["choices"][0]["message"]["content"]
    always = Caller(front, "small")
    missed: list[str] = []
    late = 0
    for seed, name in enumerate(("first", "second")):
        began = time.monotonic()
        answered = load(service, name, write_adapter(folder / f"{name}.gguf", seed=seed))
        say(
            f"{name} loaded on {', '.join(answered['engines'])} in {time.monotonic() - began:.1f} s, evicted: {answered['evicted']}"
        )
        late += seconds_until(front, name, there=True) > VISIBLE_S
        seen, different = places(front, name, plain)
        say(f"   answers by {', '.join(sorted(seen))}, all other than the model's: {different}")
        if len(seen) < REPLICAS or not different:
            missed.append(f"{name} on every replica")
    if "first" in listed(front):
        missed.append("the first made room")
    caller = Caller(front, "second")
    time.sleep(3)
    gone = threading.Thread(
        target=lambda: httpx.delete(f"{service.url}/v1/adapters/second", headers=admin_headers(), timeout=60)
    )
    gone.start()
    late += seconds_until(front, "second", there=False) > VISIBLE_S
    gone.join()
    of_adapter, of_model = caller.stop(), always.stop()
    say(
        f"requests of the adapter by status, until it was gone (404): {dict(of_adapter)}; of the model all the time: {dict(of_model)}"
    )
    if late:
        missed.append(f"listed, and not, within {VISIBLE_S:g} s")
    if set(of_model) != {"200"} or set(of_adapter) - {"200", "404"}:
        missed.append("no request fails")
    return missed


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and fail when a bar is missed."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args(
        arguments
    )
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        missed = measure(Path(folder), stack)
    if missed:
        raise BenchError("missed: " + "; ".join(missed))


if __name__ == "__main__":
    try:
        main()
    except BenchError as exc:
        sys.exit(str(exc))
