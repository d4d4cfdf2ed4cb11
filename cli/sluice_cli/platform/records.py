"""Records of running parts: written at start, checked against the process table, so that no stranger is ever stopped."""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

_SAME_START_S = 0.05


@dataclass(frozen=True, slots=True)
class Record:
    """One started process; the pid counts only together with the time at which the process was created."""

    part: str
    pid: int
    created: float
    port: int
    address: str
    started_at: float

    def process(self) -> psutil.Process | None:
        """Return the process if it still is the one that we started, else None."""
        try:
            process = psutil.Process(self.pid)
            if abs(process.create_time() - self.created) > _SAME_START_S or process.status() == psutil.STATUS_ZOMBIE:
                return None
        except psutil.NoSuchProcess:
            return None
        return process


def write(folder: Path, part: str, pid: int, port: int, address: str) -> Record:
    """Store and return the record of a process that was just started."""
    record = Record(part, pid, psutil.Process(pid).create_time(), port, address, time.time())
    (folder / f"{part}.json").write_text(json.dumps(asdict(record)), encoding="utf-8")
    return record


def read(folder: Path) -> dict[str, Record]:
    """Return all records by part; an unreadable one is left out."""
    found = {}
    for path in sorted(folder.glob("*.json")):
        try:
            found[path.stem] = Record(**json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError):
            continue
    return found


def remove(folder: Path, part: str) -> None:
    """Forget a part."""
    (folder / f"{part}.json").unlink(missing_ok=True)
