"""Reads the attacks and the harmless texts of `composed/`: each line was written by itself for this project, by hands that had seen nothing of what is reported on.

Some kinds train nothing: their harmless texts set the working points, their attacks show what is found of techniques that no head saw.
"""

import json
from pathlib import Path

from tests.quality.guardrail.training import Row

FOLDER = Path(__file__).with_name("composed")
KEPT = ("authority", "business_process", "games_and_education", "multi_step")
"""The kinds that train nothing."""


def composed(folder: Path = FOLDER) -> list[Row]:
    """Return every text once: of the set `composed` what trains, of `composed calibrate` the kinds that are kept."""
    rows: dict[str, Row] = {}
    for name, attack in (("attacks", True), ("harmless", False)):
        for line in (folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
            one = json.loads(line)
            where = "composed calibrate" if one["kind"] in KEPT else "composed"
            rows[one["text"]] = Row(one["text"], attack, one["kind"], where)
    return list(rows.values())
