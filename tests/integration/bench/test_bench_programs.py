"""The compiled mock upstream and load generator, for real: built, started, and run against each other."""

from collections.abc import Iterator

import httpx
import pytest
from tests.bench.loadgen import Target, run_load
from tests.bench.mock import WORDS, MockUpstream, Timing
from tests.bench.run import choose_cores
from tests.bench.scenarios import Bodies
from tests.bench.toolchain import Programs

from sluice.testing import free_port

pytestmark = pytest.mark.integration


@pytest.fixture
def client(upstream: MockUpstream) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=upstream.base_url, trust_env=False, timeout=60) as opened:
        yield opened


@pytest.mark.parametrize("stream", [False, True])
def test_a_second_of_load_has_no_errors(
    programs: Programs, upstream: MockUpstream, bodies: Bodies, stream: bool
) -> None:
    body = bodies.stream if stream else bodies.json
    report = run_load(programs.load, Target(upstream.port), body, connections=8, seconds=1, core=choose_cores()[1])
    assert report.complaint is None
    assert report.ok > 50
    assert report.ok == upstream.completions_served()
    assert 0 < report.first_word.p50 <= report.latency.p50 <= report.latency.p95 <= report.latency.p99


def test_the_load_is_bounded_in_count(programs: Programs, upstream: MockUpstream, bodies: Bodies) -> None:
    core = choose_cores()[1]
    target = Target(upstream.port)
    report = run_load(programs.load, target, bodies.json, connections=4, seconds=5, core=core, max_requests=37)
    assert report.ok == 37
    assert report.elapsed_s < 3


def test_pauses_show_in_the_time_to_the_first_word(programs: Programs, upstream: MockUpstream, bodies: Bodies) -> None:
    upstream.set_timing(Timing(first_delay_us=30_000, gap_us=1_000))
    core = choose_cores()[1]
    target = Target(upstream.port)
    report = run_load(programs.load, target, bodies.stream, connections=1, seconds=1, core=core, max_requests=3)
    assert report.complaint is None
    assert report.first_word.p50 >= 30
    assert report.latency.p50 >= 30 + WORDS - 1


def test_a_refusal_is_counted_and_quoted(programs: Programs, upstream: MockUpstream, bodies: Bodies) -> None:
    target = Target(upstream.port, path="/v1/nowhere")
    report = run_load(
        programs.load, target, bodies.json, connections=2, seconds=1, core=choose_cores()[1], max_requests=20
    )
    assert (report.ok, report.bad_status, report.first_bad_status) == (0, 20, 404)
    assert "no such path" in report.first_bad_body


def test_nobody_listening_is_an_error(programs: Programs, bodies: Bodies) -> None:
    report = run_load(
        programs.load,
        Target(free_port()),
        bodies.json,
        connections=2,
        seconds=1,
        core=choose_cores()[1],
        max_requests=20,
    )
    assert (report.ok, report.broken) == (0, 20)


def test_streams_end_with_usage_only_when_asked(client: httpx.Client) -> None:
    plain = client.post("/chat/completions", json={"stream": True}).text
    with_usage = client.post("/chat/completions", json={"stream": True, "stream_options": {"include_usage": True}}).text
    assert plain.count('"content":"~') == with_usage.count('"content":"~') == WORDS
    assert '"usage"' not in plain
    assert f'"completion_tokens":{WORDS},' in with_usage
    assert plain.endswith("data: [DONE]\n\n")
    assert with_usage.endswith("data: [DONE]\n\n")


def test_a_quoted_stream_member_inside_a_message_streams_nothing(client: httpx.Client) -> None:
    answer = client.post("/chat/completions", json={"messages": [{"role": "user", "content": '"stream": true'}]})
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["usage"]["completion_tokens"] == WORDS


@pytest.mark.parametrize(
    ("given", "count"),
    [("one", 1), (["one", "two, and [more]", 'a "quoted\\" one'], 3), ([1, 2, 3], 1), ([[1, 2], [3]], 2), ([], 1)],
)
def test_embeddings_answer_one_vector_per_input(client: httpx.Client, given: object, count: int) -> None:
    found = client.post("/embeddings", json={"model": "m", "input": given}).json()["data"]
    assert [item["index"] for item in found] == list(range(count))
    assert sum(component**2 for component in found[0]["embedding"]) == pytest.approx(1.0, abs=1e-4)


def test_a_body_in_chunks_is_understood(client: httpx.Client) -> None:
    answer = client.post("/completions", content=iter([b'{"model": "m", ', b'"stream": true}']))
    assert answer.headers["transfer-encoding"] == "chunked"
    assert answer.text.count('"text":"~') == WORDS


def test_models_are_listed(client: httpx.Client) -> None:
    assert [model["id"] for model in client.get("/models").json()["data"]] == ["bench-model"]
