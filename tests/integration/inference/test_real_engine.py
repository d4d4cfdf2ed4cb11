"""The supervisor with the real engine: starts, kills, hangs, stops, and what the engine itself can do."""

import json
import signal
import socket
import threading
import time
from typing import Any

import httpx
import jsonschema
import pytest
from tests.integration.inference.inference_process import Inference, Make, gone, kill, smollm2
from tests.integration.inference.lora_file import write_adapter
from typer.testing import CliRunner

from sluice.testing import ADMIN_KEY, admin_headers, free_port, service_headers, wait_until
from sluice_cli.app import app
from sluice_cli.platform.errors import CommandFailed
from sluice_cli.quantisation.engine import Engine

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]
HELLO = [{"role": "user", "content": "Say hello."}]


def test_it_starts_generates_and_says_how_fast(inference: Make) -> None:
    service = inference(smollm2(free_port())).start()
    status = service.engine()
    assert (status["state"], status["restarts"], status["slots"], status["context_tokens"]) == ("ready", 0, 2, 1024)
    answer = service.chat(status, messages=HELLO, max_tokens=24, ignore_eos=True)
    assert answer["usage"]["completion_tokens"] == 24
    measured = service.until(lambda found: found["tokens_per_second"] is not None, "a measured speed")
    assert 0.5 < measured["tokens_per_second"] < 5000
    assert measured["tokens_total"] >= 25
    assert 50_000_000 < measured["memory_bytes"] < 500_000_000
    capacity = httpx.get(f"{service.url}/v1/capacity", headers=admin_headers(), timeout=60).json()
    assert (capacity["engines_ready"], capacity["slots"], capacity["slots_free"]) == (1, 2, 2)
    metrics = httpx.get(f"{service.url}/metrics", timeout=60).text
    assert 'sluice_engine_ready{backend="llamacpp",engine="smollm2"} 1.0' in metrics
    assert 'sluice_engine_generation_tokens_per_second{engine="smollm2"} 0.0' not in metrics


def test_a_killed_engine_is_back_within_seconds(inference: Make) -> None:
    began = time.monotonic()
    service = inference(smollm2(free_port())).start()
    started = time.monotonic() - began
    before = service.engine()
    killed = time.monotonic()
    kill(before["pid"])
    after = service.until(lambda found: found["state"] == "ready" and found["pid"] != before["pid"], "a new engine")
    assert time.monotonic() - killed < max(15, 3 * started)
    assert after["restarts"] == 1
    assert service.chat(after, messages=HELLO, max_tokens=4)["usage"]["completion_tokens"] > 0


def test_an_engine_that_is_killed_again_and_again_is_a_crash_loop_and_a_restart_ends_it(inference: Make) -> None:
    service = inference(
        smollm2(free_port()), crash_limit="3", restart_first_pause_s="0.1", restart_longest_pause_s="60"
    ).start()
    seen: set[int] = set()
    while len(seen) < 3:
        status = service.until(lambda found: found["pid"] not in (None, *seen), "the next life of the engine")
        seen.add(status["pid"])
        kill(status["pid"])
    status = service.until(lambda found: found["state"] == "crash_loop", "crash_loop")
    assert "signal 9" in status["reason"]
    assert status["retry_at"] > time.time() + 30
    assert status["log_lines"]
    ready = httpx.get(f"{service.url}/readyz", timeout=60)
    assert ready.status_code == 503
    assert "crash_loop" in ready.text
    assert service.ask("restart").status_code == 202
    assert service.until(lambda found: found["state"] == "ready", "ready after a restart")["restarts"] == 3


def test_an_engine_that_hangs_is_replaced(inference: Make) -> None:
    service = inference(smollm2(free_port(), probe_timeout_s=2)).start()
    before = service.engine()
    kill(before["pid"], signal.SIGSTOP)
    after = service.until(lambda found: found["state"] == "ready" and found["pid"] != before["pid"], "a new engine")
    assert after["restarts"] == 1
    assert gone(before["pid"])


def test_the_engine_dies_with_a_killed_service_and_a_new_one_takes_the_port(inference: Make) -> None:
    service = inference(smollm2(free_port())).start()
    orphan = service.engine()["pid"]
    service.process.kill()
    wait_until(lambda: gone(orphan), seconds=60, what="the engine's end after its service was killed")
    service.start()
    assert service.engine()["pid"] != orphan


def test_an_engine_that_outlived_its_service_is_replaced(inference: Make) -> None:
    """A stopped process cannot notice that its service died; the next service ends it by its record."""
    service = inference(smollm2(free_port())).start()
    orphan = service.engine()["pid"]
    kill(orphan, signal.SIGSTOP)
    service.process.kill()
    assert not gone(orphan)
    service.start()
    assert gone(orphan)
    assert service.engine()["state"] == "ready"


def test_a_stopped_service_leaves_no_engine(inference: Make) -> None:
    service = inference(smollm2(free_port())).start()
    pid = service.engine()["pid"]
    service.process.stop()
    assert gone(pid)


def test_a_stop_lets_a_running_request_finish(inference: Make) -> None:
    service = inference(smollm2(free_port()), drain_s="120").start()
    status = service.engine()
    answers: list[dict[str, Any]] = []

    def long_request() -> None:
        answers.append(service.chat(status, messages=HELLO, max_tokens=200, ignore_eos=True))

    request = threading.Thread(target=long_request)
    request.start()
    service.until(lambda found: found["slots_busy"] == 1, "a running request")
    assert service.ask("stop").json()["state"] in ("ready", "stopping")
    request.join(120)
    assert answers[0]["usage"]["completion_tokens"] == 200
    service.until(lambda found: found["state"] == "stopped", "stopped")
    assert gone(status["pid"])
    assert service.ask("start").status_code == 202
    service.until(lambda found: found["state"] == "ready", "started again")


def test_a_taken_port_is_said_in_a_sentence_and_taken_when_free(inference: Make) -> None:
    port = free_port()
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", port))
        holder.listen()
        service = inference(smollm2(port), restart_longest_pause_s="1").start(ready=False)
        status = service.until(lambda found: found["state"] == "crash_loop", "crash_loop")
        assert f"cannot listen on 127.0.0.1:{port}" in status["reason"]
        assert "engines.yaml" in status["reason"]
    service.until(lambda found: found["state"] == "ready", "ready once the port is free")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"model_package": "no_such_wheel"}, "the wheel no-such-wheel is not installed. Install it with"),
        ({"model_package": None, "model_path": "/no/such/file.gguf"}, "is missing: /no/such/file.gguf"),
        ({"model_package": "yaml"}, "holds 0 GGUF files"),
    ],
)
def test_a_missing_model_is_said_in_a_sentence(inference: Make, changes: dict[str, Any], sentence: str) -> None:
    described = {name: value for name, value in smollm2(free_port(), **changes).items() if value is not None}
    service = inference(described).start(ready=False)
    status = service.until(lambda found: found["state"] == "crash_loop", "crash_loop")
    assert sentence in status["reason"]


def test_a_file_that_is_no_model_is_told_by_the_engines_own_words(inference: Make) -> None:
    service = inference(smollm2(free_port()))
    wrong = service.folder / "wrong.gguf"
    wrong.write_bytes(b"this is no model")
    described = smollm2(free_port(), model_path=str(wrong), template_check=False)
    del described["model_package"]
    # Twice: llama.cpp writes its log in a thread of its own, which may not come to the last lines on a busy machine.
    service = inference(described, crash_limit="2").start(ready=False)
    status = service.until(lambda found: found["state"] == "crash_loop", "crash_loop")
    assert "status 4" in status["reason"]
    assert any("invalid magic" in line for line in status["log_lines"])


def test_an_engine_that_something_else_runs_is_attached(inference: Make) -> None:
    port = free_port()
    owner = inference(smollm2(port)).start()
    url = f"http://127.0.0.1:{port}"
    remote = {
        "id": "smollm2",
        "backend": "remote",
        "model": "smollm2",
        "base_url": f"{url}/v1",
        "metrics_url": f"{url}/metrics",
    }
    watcher = inference(remote).start()
    status = watcher.engine()
    assert (status["state"], status["backend"], status["pid"]) == ("ready", "remote", None)
    watcher.chat(status, messages=HELLO, max_tokens=24, ignore_eos=True)
    watcher.until(lambda found: found["tokens_per_second"] is not None, "a measured speed")
    refused = watcher.ask("restart")
    assert (refused.status_code, refused.json()["code"]) == (409, "engine_not_ours")
    owner.ask("stop")
    watcher.until(lambda found: found["state"] == "restarting", "noticing that it is away")
    owner.ask("start")
    watcher.until(lambda found: found["state"] == "ready", "noticing that it is back")
    watcher.process.stop()
    assert owner.engine()["state"] == "ready"


def test_structured_output_follows_its_schema(running: Inference) -> None:
    schema = {
        "type": "object",
        "properties": {
            "city": {"type": "string", "minLength": 1, "maxLength": 20},
            "population": {"type": "integer", "minimum": 0, "maximum": 99_999_999},
            "capital": {"type": "boolean"},
        },
        "required": ["city", "population", "capital"],
        "additionalProperties": False,
    }
    service = running
    for seed in range(3):
        answer = service.chat(
            service.engine(),
            messages=[{"role": "user", "content": "Describe Paris as JSON."}],
            max_tokens=120,
            seed=seed,
            response_format={"type": "json_schema", "json_schema": {"name": "city", "schema": schema}},
        )
        assert answer["choices"][0]["finish_reason"] == "stop"
        jsonschema.validate(json.loads(answer["choices"][0]["message"]["content"]), schema)


def test_the_likelihood_of_a_text_is_what_the_model_says_of_each_token(running: Inference) -> None:
    base = running.engine()["base_url"]
    text = "The river rises in the hills."
    with Engine.at(base) as engine:
        scored = engine.score(text)
        size, form = engine.about()
    assert scored is not None
    assert "".join(one.token for one in scored) == text.removeprefix("The")
    assert (size or 0) > 90_000_000
    assert form == "Q4_1"
    ids = httpx.post(base.removesuffix("/v1") + "/tokenize", json={"content": text}, timeout=60).json()["tokens"]
    for at in (1, len(ids) - 1):  # each token asked for by itself
        body = {
            "model": "m",
            "prompt": ids[:at],
            "max_tokens": 1,
            "logit_bias": [[ids[at], 1000]],
            "logprobs": 1,
            "temperature": 0,
        }
        told = httpx.post(f"{base}/completions", json=body, timeout=60).json()["choices"][0]["logprobs"]["content"][0]
        assert scored[at - 1].logprob == pytest.approx(told["logprob"], abs=0.05)
        assert scored[at - 1].likeliest == told["top_logprobs"][0]["token"]


def test_a_prompt_over_the_context_of_a_slot_is_refused_by_the_engine(running: Inference) -> None:
    service = running
    answer = httpx.post(
        f"{service.engine()['base_url']}/chat/completions",
        json={"model": "smollm2", "messages": [{"role": "user", "content": "word " * 1200}]},
        timeout=60,
    )
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "exceed_context_size_error"


def test_callers_without_a_right_are_refused(running: Inference) -> None:
    service = running
    assert httpx.get(f"{service.url}/v1/engines", timeout=60).status_code == 401
    member = service_headers("inference", role="member")
    assert httpx.get(f"{service.url}/v1/engines", headers=member, timeout=60).status_code == 200
    refused = httpx.post(f"{service.url}/v1/engines/smollm2/stop", headers=member, timeout=60)
    assert refused.status_code == 403
    assert service.engine()["state"] == "ready"
    unknown = service.ask("stop", "nothing")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "engine_not_found")


def test_the_engines_log_stays_small(inference: Make) -> None:
    service = inference(smollm2(free_port()), max_log_bytes="4096").start()
    log = service.folder / "logs" / "engine-smollm2.log"
    with log.open("a") as file:
        file.write("x" * 5000 + "\n")
    wait_until(lambda: log.stat().st_size < 4096, what="a shorter log")
    assert log.with_suffix(".log.1").stat().st_size > 5000


def test_a_caller_that_disconnects_frees_its_slot(running: Inference) -> None:
    endless = {"0": -100, "2": -100}  # the tokens that end a text and a turn
    body = {"model": "smollm2", "messages": HELLO, "max_tokens": 3000, "logit_bias": endless, "stream": True}
    before = running.engine()
    url = f"{before['base_url']}/chat/completions"
    with httpx.stream("POST", url, json=body, timeout=60) as answer:
        chunks = answer.iter_bytes()  # a forgotten iterator would close the connection
        next(chunks)
        running.until(lambda found: found["slots_busy"] == 1, "a busy slot")
    after = running.until(lambda found: found["slots_busy"] == 0, "a free slot")
    assert after["tokens_total"] - before["tokens_total"] < 900, "it did not go on to the end of its context"


def test_adapters_come_and_go_while_the_model_answers(running: Inference) -> None:
    base = running.engine()
    assert (base["adapters"], base["adapter_urls"]) == ([], {})
    plain = _capital(base["base_url"])
    files = {
        name: write_adapter(running.folder / f"{name}.gguf", seed=seed) for seed, name in enumerate(("first", "second"))
    }
    loaded = _load(running, "first", str(files["first"]))
    assert (loaded.status_code, loaded.json()["engines"], loaded.json()["evicted"]) == (201, ["smollm2"], [])
    tuned = _capital(running.engine()["adapter_urls"]["first"])
    assert tuned != plain == _capital(base["base_url"]), "the adapter changes its own answers only"
    first = _engine_of(running, "first")
    assert (first["state"], first["id"].rpartition(".")[0]) == ("ready", "smollm2")
    kill(first["pid"])
    wait_until(lambda: running.engine()["adapters"] == [], seconds=60, what="the router to be told that it is away")

    said = _sluice(running, "adapters", "load", "second", str(files["second"]), "--model", "smollm2")
    assert said == "second is loaded on smollm2.\nfirst had to make room.\n", "one at once, the longest unused goes"
    (listed,) = json.loads(_sluice(running, "adapters", "list", "--json"))["data"]
    assert (listed["name"], listed["engines"], listed["path"]) == ("second", ["smollm2"], str(files["second"]))
    assert str(files["second"]) in _sluice(running, "adapters", "list")
    assert _capital(running.engine()["adapter_urls"]["second"]) not in (plain, tuned)
    own = _engine_of(running, "second")["pid"]
    assert _sluice(running, "adapters", "unload", "second") == "second is unloaded.\n"
    with pytest.raises(CommandFailed, match="404"):
        _sluice(running, "adapters", "unload", "second")
    assert gone(own)
    assert [one["id"] for one in _engines(running)] == ["smollm2"]


def test_the_commands_for_engines(running: Inference) -> None:
    listed = _sluice(running, "engines", "list").splitlines()
    assert listed[0].split()[:4] == ["engine", "backend", "model", "state"]
    assert listed[1].split()[:5] == ["smollm2", "llamacpp", "smollm2", "ready", "0"]
    assert json.loads(_sluice(running, "engines", "show", "smollm2"))["pid"] == running.engine()["pid"]
    assert "llama.cpp serves smollm2 at" in _sluice(running, "engines", "logs", "smollm2", "-n", "1000")
    stopped = _sluice(running, "engines", "stop", "smollm2", "--wait", "60").splitlines()
    assert stopped[-1] == "smollm2: stopped"
    started = _sluice(running, "engines", "start", "smollm2", "--wait", "60").splitlines()
    assert started[-1] == "smollm2: ready"
    assert _sluice(running, "engines", "start", "smollm2").startswith("smollm2: asked to start; it was ready.")
    with pytest.raises(CommandFailed, match="There is no engine 'nobody'"):
        _sluice(running, "engines", "logs", "nobody")
    member = service_headers("inference", role="member")
    assert httpx.get(f"{running.url}/v1/engines/smollm2/logs", headers=member, timeout=60).status_code == 403


def _sluice(service: Inference, *words: str) -> str:
    values = {"SLUICE_ADMIN_KEY": ADMIN_KEY, "COLUMNS": "200"}
    done = CliRunner(env=values).invoke(app, (*words, "--url", service.url))
    if done.exception is not None:
        raise done.exception
    return done.stdout


def _load(service: Inference, name: str, path: str) -> httpx.Response:
    body = {"name": name, "model": "smollm2", "path": path}
    return httpx.post(f"{service.url}/v1/adapters", json=body, headers=admin_headers(), timeout=60)


def _engines(service: Inference) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = httpx.get(f"{service.url}/v1/engines", headers=admin_headers(), timeout=60).json()[
        "data"
    ]
    return found


def _engine_of(service: Inference, model: str) -> dict[str, Any]:
    return next(one for one in _engines(service) if one["model"] == model)


def _capital(base_url: str) -> str:
    question = [{"role": "user", "content": "What is the capital of France?"}]
    body = {"messages": question, "max_tokens": 12, "temperature": 0}
    answer = httpx.post(f"{base_url}/chat/completions", json=body, timeout=60)
    return str(answer.raise_for_status().json()["choices"][0]["message"]["content"])
