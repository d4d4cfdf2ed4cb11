"""Engines of an earlier life of the service: they are ended by their record, and nobody else is."""

import asyncio
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen

import psutil
import pytest

from sluice_inference.adapters.processes import PidRecord, end_leftover

pytestmark = pytest.mark.integration


@contextmanager
def program() -> Iterator[Popen[bytes]]:
    with Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True) as process:
        try:
            yield process
        finally:
            process.kill()


async def test_who_has_the_process_id_of_an_earlier_engine_lives_on(tmp_path: Path) -> None:
    """In a container process ids begin anew: that of the earlier engine may be another one's now."""
    record = tmp_path / "engine-e.json"
    with program() as innocent:
        record.write_text(PidRecord(pid=innocent.pid, created=time.time() - 3600).model_dump_json())
        await asyncio.to_thread(end_leftover, record)
        assert psutil.pid_exists(innocent.pid)
        assert not record.exists()
        record.write_text(
            PidRecord(pid=innocent.pid, created=psutil.Process(innocent.pid).create_time()).model_dump_json()
        )
        await asyncio.to_thread(end_leftover, record)
        assert not psutil.pid_exists(innocent.pid)
