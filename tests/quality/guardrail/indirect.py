"""Prints how many attacks hidden in e-mails, tables and code are found, and how many clean ones are touched.

    python tests/quality/guardrail/indirect.py FOLDER [--head] [--threshold 0.7]

FOLDER holds the train split of BIPIA (Microsoft, MIT): `email_train`, `table_train` and `code_train` as `.jsonl.gz`, `text_attack_train` and
`code_attack_train` as `.json.gz`; none of it is part of the repository. Each attack is put at the start, in the middle and at the end of one clean
text; the text is checked as retrieved text is (role `context`). The phrases were written without these attacks, and the head was
not trained on them.
"""

import argparse
import gzip
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sluice.contracts.guard import CheckRequest, Segment
from sluice_guardrail.adapters.head_file import load_head
from sluice_guardrail.domain.check import check
from sluice_guardrail.domain.policy import NamedPolicy, parse_policies

CLEAN = {"email": "text_attack", "table": "text_attack", "code": "code_attack"}
PLACES = ("start", "middle", "end")


def contexts(folder: Path, kind: str) -> list[str]:
    with gzip.open(folder / f"{kind}_train.jsonl.gz", "rt", encoding="utf-8") as lines:
        found: list[Any] = [json.loads(line)["context"] for line in lines]
    return ["\n".join(one) if isinstance(one, list) else str(one) for one in found]


def attacks(folder: Path, name: str) -> Iterator[tuple[str, str]]:
    with gzip.open(folder / f"{name}_train.json.gz", "rt", encoding="utf-8") as file:
        for family, texts in json.load(file).items():
            yield from ((family, text) for text in texts)


def hidden(attack: str, clean: str, place: str) -> str:
    lines = clean.splitlines()
    at = {"start": 0, "middle": len(lines) // 2, "end": len(lines)}[place]
    return "\n".join((*lines[:at], attack, *lines[at:]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--head", action="store_true")
    parser.add_argument("--threshold", type=float, default=0.7)
    options = parser.parse_args()
    injection = {"classifier": options.head, "threshold": options.threshold}
    content = {"version": 1, "policies": {"default": {"input": {"injection": injection}}}}
    policy = parse_policies(content, "the policy").get("default")
    head = load_head("injection") if options.head else None

    def touched(text: str, rules: NamedPolicy = policy) -> bool:
        asked = CheckRequest(stage="input", segments=(Segment(id="0", role="context", text=text),))
        return "prompt_injection" in check(asked, rules, lambda: None, head).issues

    for kind, name in CLEAN.items():
        clean = contexts(options.folder, kind)
        wrong = sum(map(touched, clean))
        families: dict[str, list[bool]] = defaultdict(list)
        for number, (family, attack) in enumerate(attacks(options.folder, name)):
            families[family] += [touched(hidden(attack, clean[number % len(clean)], place)) for place in PLACES]
        caught = [one for found in families.values() for one in found]
        print(f"{kind}: clean touched {wrong}/{len(clean)}, attacks found {sum(caught)}/{len(caught)}")
        for family, found in sorted(families.items()):
            print(f"    {family}: {sum(found)}/{len(found)}")


if __name__ == "__main__":
    main()
