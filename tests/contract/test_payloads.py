"""Every payload of streams, channels and tasks that was ever released keeps parsing."""

import json
from pathlib import Path

import pytest

from sluice import queues
from sluice.contracts.base import Reply

SAMPLES = Path(__file__).parent / "samples"
PAYLOADS: dict[str, type[Reply]] = {
    **{stream.name: stream.payload for stream in queues.STREAMS},
    **{channel.name.replace(":", "."): channel.payload for channel in queues.CHANNELS},
    **{task.name: task.payload for task in queues.TASKS},
}


@pytest.mark.parametrize("name", sorted(PAYLOADS))
def test_released_samples_parse_and_lose_nothing(name: str) -> None:
    lines = (SAMPLES / f"{name}.jsonl").read_text().splitlines()
    assert lines, f"{name} has no released sample"
    for line in lines:
        raw = json.loads(line)
        parsed = PAYLOADS[name].model_validate(raw).model_dump(mode="json")
        assert {key: parsed[key] for key in raw} == raw


def test_every_sample_belongs_to_a_queue() -> None:
    assert {path.stem for path in SAMPLES.glob("*.jsonl")} == set(PAYLOADS)


def test_names_are_unique() -> None:
    names = [item.name for item in (*queues.STREAMS, *queues.CHANNELS, *queues.TASKS)]
    assert len(names) == len(set(names)) == len(PAYLOADS)
