"""Reads the attacks and the harmless texts of `composed/`: each line was written by itself for this project, by hands that had seen nothing of what is reported on.

Some kinds train nothing: their harmless texts set the working points, their attacks show what is found of techniques that no head saw.
Three later rounds are only reported on: the second (`r2_…`: plain voices, many languages; trained on, it found more of its own kinds and less of what other people wrote), the third (`r3_…`: every technique in many voices,
with harmless counterparts) and the fourth (`r4_…`: attackers' words in ordinary requests, and attacks without them).
"""

import json
from pathlib import Path

from tests.quality.guardrail.training import Row

FOLDER = Path(__file__).with_name("composed")
KEPT = ("authority", "business_process", "games_and_education", "multi_step")
"""The kinds that train nothing."""
ASIDE = ("r2_", "r3_", "r4_")
"""What the kinds of the later rounds begin with: they neither train nor set a point."""


def role(kind: str) -> str:
    """Return the set that a kind belongs to."""
    if kind.startswith(ASIDE):
        return "composed aside"
    return "composed calibrate" if kind in KEPT else "composed"


def composed(folder: Path = FOLDER) -> list[Row]:
    """Return every text once: of the set `composed` what trains, of `composed calibrate` the kinds that are kept, of `composed aside` the later rounds."""
    rows: dict[str, Row] = {}
    for name, attack in (("attacks", True), ("harmless", False)):
        for line in (folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
            one = json.loads(line)
            rows[one["text"]] = Row(one["text"], attack, one["kind"], role(one["kind"]))
    return list(rows.values())
