"""Polling leaves no spans, neither here nor in the service that is called."""

from pathlib import Path

from sluice.telemetry.tracing import Tracing, extract, inject, untraced
from sluice.testing import platform_settings


def test_what_runs_untraced_is_recorded_nowhere(tmp_path: Path) -> None:
    caller = Tracing("caller", platform_settings(tmp_path, trace_file_dir=str(tmp_path)))
    called = Tracing("called", platform_settings(tmp_path, trace_file_dir=str(tmp_path)))
    headers: dict[str, str] = {}
    with untraced(), caller.span("poll"):
        inject(headers)
    with called.span("answer", parent=extract(headers)):
        pass
    with caller.span("work"):
        pass
    for tracing in (caller, called):
        tracing.close()
    assert "poll" not in (tmp_path / "caller.jsonl").read_text()
    assert "work" in (tmp_path / "caller.jsonl").read_text()
    assert not (tmp_path / "called.jsonl").exists()
