"""Reads the attacks and the harmless texts of `composed/`: each line was written by itself for this project, by hands that had seen nothing of what is reported on.

Some kinds train nothing: their harmless texts set the working points, their attacks show what is found of techniques that no head saw.
A second round (plain voices, many languages; kinds `r2_…`) is only reported on: trained on, it found more of its own kinds and less of what other people wrote.
A third (kinds `r3_…`; every technique in many voices) trains the head alone: an encoder that learnt from it too found no more beside that head.
"""

import json
from pathlib import Path

from tests.quality.guardrail.training import Row

FOLDER = Path(__file__).with_name("composed")
KEPT = ("authority", "business_process", "games_and_education", "multi_step", "r3_conditional", "r3_mail_ticket", "r3_service_bots")  # fmt: skip
"""The kinds that train nothing."""
ASIDE, THIRD = "r2_", "r3_"
"""What the kinds of the second round begin with, which neither train nor set a point, and those of the third."""


def role(kind: str) -> str:
    """Return the set that a kind belongs to."""
    if kind.startswith(ASIDE):
        return "composed aside"
    if kind in KEPT:
        return "composed calibrate"
    return "composed third" if kind.startswith(THIRD) else "composed"


def composed(folder: Path = FOLDER) -> list[Row]:
    """Return every text once: of the sets `composed` and `composed third` what trains, of `composed calibrate` the kinds that are kept, of `composed aside` the second round."""
    rows: dict[str, Row] = {}
    for name, attack in (("attacks", True), ("harmless", False)):
        for line in (folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
            one = json.loads(line)
            rows[one["text"]] = Row(one["text"], attack, one["kind"], role(one["kind"]))
    return list(rows.values())
