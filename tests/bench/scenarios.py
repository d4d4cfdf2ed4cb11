"""What is asked of every row: four scenarios, each with one fixed request body."""

import json
from pathlib import Path
from typing import Literal, NamedTuple

from tests.bench.mock import MODEL, Timing

ScenarioName = Literal["json-32", "json-1", "stream-32", "stream-paced"]

_REQUEST = {
    "model": MODEL,
    "messages": [
        {"role": "system", "content": "You answer questions about operating a database cluster, briefly and exactly."},
        {"role": "user", "content": "A replica lags behind its primary by forty minutes. What do I look at, in order?"},
    ],
    "temperature": 0.2,
    "max_tokens": 128,
}


class Scenario(NamedTuple):
    """One kind of load; `timing` is how the mock upstream answers meanwhile."""

    name: ScenarioName
    title: str
    connections: int
    stream: bool
    timing: Timing


SCENARIOS = (
    Scenario("json-32", "JSON answers, 32 connections", 32, stream=False, timing=Timing()),
    Scenario("json-1", "JSON answers, 1 connection", 1, stream=False, timing=Timing()),
    Scenario("stream-32", "streams of 64 words without pauses, 32 connections", 32, stream=True, timing=Timing()),
    Scenario(
        "stream-paced",
        "streams of 64 words, the first after 20 ms and then one every 5 ms, 4 connections",
        4,
        stream=True,
        timing=Timing(first_delay_us=20_000, gap_us=5_000),
    ),
)


class Bodies(NamedTuple):
    """The request bodies as files for the load generator."""

    json: Path
    stream: Path

    def of(self, scenario: Scenario) -> Path:
        return self.stream if scenario.stream else self.json


def write_bodies(folder: Path) -> Bodies:
    """Write both request bodies; the streamed one asks for no usage, as most clients do."""
    folder.mkdir(parents=True, exist_ok=True)
    bodies = Bodies(json=folder / "request.json", stream=folder / "request-stream.json")
    bodies.json.write_text(json.dumps(_REQUEST))
    bodies.stream.write_text(json.dumps({**_REQUEST, "stream": True}))
    return bodies
