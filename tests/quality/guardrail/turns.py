"""Prints how many attacks are found that are cut into turns, and how many clean conversations are refused.

    python -m tests.quality.guardrail.turns --routing FILE.jsonl.gz --intents FILE.jsonl.gz --spikee DIR --bastion FILE.jsonl [--conversations 500] [--seed 1]

The attacks come from sources that no head was trained on (see `train.py`) and from our own `held_out` cases; each is cut between words into two, three
and four turns with an answer between. Clean conversations are two to eight ordinary prompts or harmless ones that look like attacks. Policy: `default`.
"""

import argparse
import random
from collections.abc import Sequence
from pathlib import Path

from tests.quality.guardrail.run import HEADS, load_policy
from tests.quality.guardrail.sources import own_cases, read_bastion, read_ordinary, read_spikee
from tests.quality.guardrail.training import Row

from sluice.contracts.guard import CheckRequest, Segment
from sluice_guardrail.domain.check import check
from sluice_guardrail.domain.policy import NamedPolicy, parse_policies

ANSWERS = ("Sure.", "Please go on.", "I see. What else?", "Of course, tell me more.")


def conversation(turns: Sequence[str], rng: random.Random) -> CheckRequest:
    segments = [Segment(id="s", role="system", text="You help the customers of Harbour Books.")]
    for at, turn in enumerate(turns):
        answer = (Segment(id=f"a{at}", role="assistant", text=rng.choice(ANSWERS)),) if at else ()
        segments += [*answer, Segment(id=f"u{at}", role="user", text=turn)]
    return CheckRequest(stage="input", segments=tuple(segments))


def cut(text: str, count: int, rng: random.Random) -> list[str]:
    """Return a text of words as `count` turns of at least one word."""
    words = text.split()
    marks = sorted(rng.sample(range(1, len(words)), count - 1))
    return [" ".join(words[start:end]) for start, end in zip([0, *marks], [*marks, len(words)], strict=True)]


def refused(request: CheckRequest, policy: NamedPolicy) -> bool:
    return "prompt_injection" in check(request, policy, lambda: None, HEADS).issues


def report(name: str, requests: Sequence[CheckRequest], policies: Sequence[NamedPolicy]) -> None:
    found = [sum(refused(request, policy) for request in requests) for policy in policies]
    print(
        f"{name:<58} {len(requests):>5}",
        *(f"{one:>5} {one / max(1, len(requests)):>6.1%}" for one in found),
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option in ("routing", "intents", "spikee", "bastion"):
        parser.add_argument(f"--{option}", type=Path, required=True)
    parser.add_argument("--conversations", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    alone = parse_policies(
        {"version": "1", "policies": {"default": {"input": {"injection": {"turns": 1}}}}}, "guard.yaml"
    ).get("default")
    policies = (alone, load_policy())
    unseen = read_spikee(options.spikee) + read_bastion(options.bastion) + own_cases()
    print(f"{'refused when turns are read':<58}       alone        together")
    for name in ("spikee", "bastion", "own held_out"):
        attacks = [row.text for row in unseen if row.set == name and row.attack and len(row.text.split()) > 6]
        whole = [conversation([text], rng) for text in attacks]
        report(f"attacks of {name}, whole", whole, policies)
        for count in (2, 3, 4):
            report(
                f"attacks of {name}, in {count} turns",
                [conversation(cut(text, count, rng), rng) for text in attacks],
                policies,
            )
    ordinary = kept(read_ordinary(options.routing, "prompt", "routing"), rng) + kept(
        read_ordinary(options.intents, "text", "clinc"), rng
    )
    harmless = [row.text for row in unseen if not row.attack and row.set != "own dev"]
    for name, texts in (
        ("MMLU, GSM8K and CLINC", ordinary),
        ("harmless, look like attacks", harmless),
        ("both", ordinary + harmless * 10),
    ):
        made = [conversation(rng.sample(texts, rng.randint(2, 8)), rng) for _ in range(options.conversations)]
        report(f"clean conversations: {name}", made, policies)


def kept(rows: Sequence[Row], rng: random.Random) -> list[str]:
    report = [row.text for row in rows if row.set.endswith("report")]
    return rng.sample(report, 1500)


if __name__ == "__main__":
    main()
