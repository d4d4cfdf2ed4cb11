"""Every stream, channel and task has someone who reads it, and the worker that does so is deployed."""

import ast
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.deploy.parts import ROOT, WORKER_PARTS
from tests.syntax import tree_of

from sluice import queues

SOURCES = sorted(ROOT.glob("services/*/sluice_*/**/*.py"))


def _names(kind: type) -> list[str]:
    return sorted(name for name, value in vars(queues).items() if isinstance(value, kind))


@functools.cache
def _calls() -> Mapping[str, Sequence[tuple[Path, set[str]]]]:
    """Calls in the services of what takes a queue, by the function's name, with the names that stand in their arguments."""
    found: dict[str, list[tuple[Path, set[str]]]] = {name: [] for name in ("work_on", "StreamConsumer", "subscribe")}
    for path in SOURCES:
        for node in ast.walk(tree_of(path)):
            if not isinstance(node, ast.Call):
                continue
            called = node.func
            while isinstance(called, ast.Subscript):
                called = called.value
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            if name in found:
                given = [*node.args, *(keyword.value for keyword in node.keywords)]
                inner = [item for argument in given for item in ast.walk(argument)]
                names = {n.id for n in inner if isinstance(n, ast.Name)}
                found[name].append((path, names | {n.attr for n in inner if isinstance(n, ast.Attribute)}))
    return found


def _readers(function: str, name: str) -> set[str]:
    return {path.relative_to(ROOT / "services").parts[1] for path, names in _calls()[function] if name in names}


@pytest.mark.parametrize("name", _names(queues.Task))
def test_every_task_is_registered_by_the_worker_of_its_queue(name: str) -> None:
    task: queues.Task[Any] = getattr(queues, name)
    assert _readers("work_on", name) == {f"sluice_{task.queue}"}
    assert f"{task.queue}-worker" in {worker.name for worker in WORKER_PARTS}


@pytest.mark.parametrize("name", _names(queues.Stream))
def test_every_stream_has_a_consumer(name: str) -> None:
    assert _readers("StreamConsumer", name)


@pytest.mark.parametrize("name", _names(queues.Channel))
def test_every_channel_has_a_subscriber(name: str) -> None:
    assert _readers("subscribe", name)
