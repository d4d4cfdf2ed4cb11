"""Reads harmless requests that people wrote, out of public repositories: commands told in a line, customers' questions, roles to play, what volunteers asked an assistant.

Three fifths train and two set the working point. The model card names the licences.
"""

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path

from tests.quality.guardrail.others import ROLE_IS_ATTACK, folder_of, share_of
from tests.quality.guardrail.training import Row

COMMITS = {
    "Open-Assistant/oasst-model-eval": "ce935dee6922ec75d5a4006dd1c3595b39a01fdf",
    "PolyAI-LDN/task-specific-datasets": "57ec275d8078af65b7731c2a98be812d844a6d6b",
    "TellinaTool/nl2bash": "466c5fe873ab08c7cc0112ea1521cc6ad9c20992",
    "jackhhao/llm-warden": "7bfdc5aaa72ed692ec23117204c0f5bc02b31005",
    "tldr-pages/tldr": "08e345f42639f67d99282813247ac670dc6e87cb",
}
"""The repositories that are read, and at which commit."""

OASST, BANKING, BASH, WARDEN, TLDR = COMMITS

TRAIN = 3  # of five parts, by hash

_WORDS = re.compile(
    r"(?i)\b(?:ignor\w*|overrid\w*|overrul\w*|bypass\w*|system prompts?|jailbreak\w*|passwords?|passcode|secrets?|admin\w*|kill\w*|developer mode|pretend\w*|role-?play\w*|act as|you are (?:now )?an?|forget|disregard\w*|"
    r"previous instructions?|reveal\w*|unlock\w*|unrestricted|hidden|confidential|credentials?|hack\w*|sudo|api keys?|prompt injection|guardrails?)\b"
)
"""An attacker's word: of one-line commands only those that use one train."""

_OF_ACCOUNTS = {
    "passcode_forgotten", "change_pin", "pin_blocked", "terminate_account", "unable_to_verify_identity", "why_verify_identity", "verify_my_identity", "edit_personal_details",
    "compromised_card", "lost_or_stolen_phone",
}  # fmt: skip
"""What customers of a bank ask of passwords, PINs and accounts."""

_MNEMONIC = re.compile(r"\[(\w+)\]|`")


def harmless(data: Path) -> list[Row]:
    """Return the texts, each once: in the set `harmless`, or in `harmless calibrate`."""
    found = [
        *(("tldr", text) for text in _commands(data)),
        *(("nl2bash", text) for text in _bash(data)),
        *(("Banking77", text) for text in _customers(data)),
        *(("llm-warden", text) for text in _roles(data)),
        *(("OpenAssistant", text) for text in _volunteers(data)),
    ]
    each = {text: name for name, text in found}
    return [
        Row(text, False, name, "harmless" if share_of(text, 5) < TRAIN else "harmless calibrate")
        for text, name in each.items()
    ]


def _commands(data: Path) -> Iterator[str]:
    for path in sorted((folder_of(data, TLDR) / "pages").rglob("*.md")):
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("- ") and _WORDS.search(line):
                yield _MNEMONIC.sub(r"\1", line[2:]).rstrip(":")


def _bash(data: Path) -> Iterator[str]:
    lines = (folder_of(data, BASH) / "data/bash/all.nl").read_text(encoding="utf-8").splitlines()
    return (line.strip() for line in lines if _WORDS.search(line))


def _customers(data: Path) -> Iterator[str]:
    with (folder_of(data, BANKING) / "banking_data/train.csv").open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            if line["category"] in _OF_ACCOUNTS or _WORDS.search(line["text"]):
                yield line["text"]


def _roles(data: Path) -> Iterator[str]:
    """Yield the harmless rows of both train splits but those in one of the test splits; its jailbreaks are TrustAIRLab's, which are reported."""
    splits: dict[str, dict[str, dict[str, str]]] = {}
    for part in ("train", "test"):
        splits[part] = {}
        for name in (f"default/jailbreak_dataset_{part}", f"balanced/jailbreak_dataset_{part}_balanced"):
            path = folder_of(data, WARDEN) / f"datasets/{name}.csv"
            with path.open(encoding="utf-8", newline="") as file:
                splits[part] |= {" ".join(line["prompt"].split()): line for line in csv.DictReader(file)}
    for start, line in splits["train"].items():
        if line["type"] == "benign" and start not in splits["test"] and not ROLE_IS_ATTACK.search(start):
            yield line["prompt"]


def _volunteers(data: Path) -> Iterator[str]:
    for path in sorted((folder_of(data, OASST) / "sampling_reports/oasst-sft/1k-prompts").glob("result_*.json")):
        for one in json.loads(path.read_text(encoding="utf-8"))["prompts"]:
            if not ROLE_IS_ATTACK.search(one["prompt"]):
                yield str(one["prompt"])
