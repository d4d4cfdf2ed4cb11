"""Reads the attacks and the harmless texts of `composed/`: each line was written by itself for this project, by hands that had seen nothing of what is reported on.

Some kinds and whole rounds train nothing, of the fourth and the seventh round one text in five (by hash), and of the eighth two: their harmless texts set the working points, their attacks show what is found of techniques that no head saw.
Rounds: the first; the second (`r2_…`: plain voices, many languages), the third (`r3_…`: every technique in many voices, with harmless counterparts), the fourth (`r4_…`: attackers' words in ordinary
requests, and attacks without them), the fifth (`r5_…`: more of these, and pairs of an attack and a harmless text in nearly the same words), the sixth (`r6_…`: harmless prompts full of orders, second tasks, dressed-up wishes, longer pairs), the seventh (`r7_…`: exam questions) and the eighth (`r8_…`: short turns of three to six words, and plain questions about passwords, secrets and words, of which one in five sets the point and one is reported). The second, the fifth and the sixth train nothing: with either of the first two less was found of what other people wrote, and so with the fifth and the sixth together.
"""

import json
from pathlib import Path

from tests.quality.guardrail.others import share_of
from tests.quality.guardrail.training import Row

FOLDER = Path(__file__).with_name("composed")
KEPT = (
    "authority",
    "business_process",
    "games_and_education",
    "multi_step",
    "r3_conditional",
    "r3_mail_ticket",
    "r3_service_bots",
)
"""The kinds of the first and the third round that train nothing."""
ASIDE = ("r2_", "r5_", "r6_")
"""What the kinds of the rounds begin with that train nothing."""
ROUNDS = {"r3_": "composed third", "r4_": "composed fourth", "r7_": "exam", "r8_": "short"}
SHORT = {0: "short calibrate", 1: "short report"}


def role(kind: str, text: str = "") -> str:
    """Return the set that a text belongs to."""
    if kind in KEPT:
        return "composed calibrate"
    if kind.startswith("r7_") and share_of(text, 5) == 0:
        return "exam calibrate"
    if kind.startswith("r8_"):
        return SHORT.get(share_of(text, 5), "short")
    if kind.startswith(ASIDE) or (kind.startswith("r4_") and share_of(text, 5) == 0):
        return "later calibrate"
    return ROUNDS.get(kind[:3], "composed")


def composed(folder: Path = FOLDER) -> list[Row]:
    """Return every text once: of the set `composed`, those of the third and the fourth round, `exam` and `short`, what trains, of the sets that end in `calibrate` what does not."""
    rows: dict[str, Row] = {}
    for name, attack in (("attacks", True), ("harmless", False)):
        for line in (folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
            one = json.loads(line)
            rows[one["text"]] = Row(one["text"], attack, one["kind"], role(one["kind"], one["text"]))
    return list(rows.values())
