"""What is asked of every row: six scenarios, each with one fixed request body; the last only of a row that has a cache."""

import json
from pathlib import Path
from typing import Literal, NamedTuple

from tests.bench.mock import CACHED_MODEL, MODEL, Timing

ScenarioName = Literal["json-32", "json-1", "json-34k", "stream-32", "stream-paced", "cache-hit"]
BodyName = Literal["json", "long", "stream", "hit"]

_SYSTEM = {
    "role": "system",
    "content": "You answer questions about operating a database cluster, briefly and exactly.",
}
_QUESTION = {
    "role": "user",
    "content": "A replica lags behind its primary by forty minutes. What do I look at, in order?",
}
_REQUEST = {"model": MODEL, "messages": [_SYSTEM, _QUESTION], "temperature": 0.2, "max_tokens": 128}
LONG_PROMPT_BYTES = 34 * 1024
_FACT = "Fact {number}: replica {number} of shard {shard} was {lag} seconds behind its primary when it was last looked at.\n"


class Scenario(NamedTuple):
    """One kind of load; `timing` is how the mock upstream answers meanwhile. With `cached` no answer may come from there."""

    name: ScenarioName
    title: str
    connections: int
    body: BodyName
    timing: Timing
    cached: bool = False


SCENARIOS = (
    Scenario("json-32", "JSON answers, 32 connections", 32, body="json", timing=Timing()),
    Scenario("json-1", "JSON answers, 1 connection", 1, body="json", timing=Timing()),
    Scenario("json-34k", "JSON answers to a prompt of 34 KB, 32 connections", 32, body="long", timing=Timing()),
    Scenario("stream-32", "streams of 64 words without pauses, 32 connections", 32, body="stream", timing=Timing()),
    Scenario(
        "stream-paced",
        "streams of 64 words, the first after 20 ms and then one every 5 ms, 4 connections",
        4,
        body="stream",
        timing=Timing(first_delay_us=20_000, gap_us=5_000),
    ),
    Scenario("cache-hit", "answers from the cache, 32 connections", 32, body="hit", timing=Timing(), cached=True),
)


class Bodies(NamedTuple):
    """The request bodies as files for the load generator."""

    json: Path
    long: Path
    stream: Path
    hit: Path

    def of(self, scenario: Scenario) -> Path:
        found: Path = getattr(self, scenario.body)
        return found


def long_prompt() -> str:
    """Return the evidence of a long prompt: lines that all differ, so that nothing about them is short."""
    lines: list[str] = []
    size = 0
    while size < LONG_PROMPT_BYTES:
        number = len(lines) + 1
        lines.append(_FACT.format(number=number, shard=number % 7, lag=number * 37 % 3600))
        size += len(lines[-1])
    return "".join(lines)[:LONG_PROMPT_BYTES]


def write_bodies(folder: Path) -> Bodies:
    """Write the request bodies; the streamed one asks for no usage, as most clients do."""
    folder.mkdir(parents=True, exist_ok=True)
    bodies = Bodies(*(folder / f"request-{name}.json" for name in Bodies._fields))
    evidence = {"role": "user", "content": long_prompt()}
    bodies.json.write_text(json.dumps(_REQUEST))
    bodies.long.write_text(json.dumps({**_REQUEST, "messages": [_SYSTEM, evidence, _QUESTION]}))
    bodies.stream.write_text(json.dumps({**_REQUEST, "stream": True}))
    bodies.hit.write_text(json.dumps({**_REQUEST, "model": CACHED_MODEL, "temperature": 0}))
    return bodies
